"""One promotion at a time into an environment: a lock object in its model bucket, written on condition.

The lock is a lease. Whoever holds it writes it again every few seconds; one that nobody has written for a
minute is stale, and so is one of a process of this machine that has ended (on Linux, which tells machines
apart). Ages are told by S3's own clock, so that the clocks of the machines do not matter.

Conditions: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html
"""

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ConfigDict, ValidationError

from ops.errors import OperationError
from ops.promotion.objects import S3Object
from ops.refusals import code, refusals_told

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEY = "promotions/lock.json"
LEASE_SECONDS = 60.0
RENEWAL_SECONDS = 15.0

_REFUSED = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "404", "412", "409")
_ATTEMPTS = 5
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PID_NAMESPACE = Path("/proc/self/ns/pid")


class Holder(BaseModel):
    """The lock's content: who holds it."""

    model_config = ConfigDict(frozen=True)

    owner: str
    host: str
    pid: int
    machine: str | None = None
    """Where `pid` names that process and no other; None if it is not known."""
    purpose: str
    since: datetime
    renewals: int = 0
    """Makes each write's ETag another one, so that a takeover fails if the holder wrote in between."""

    @property
    def ended(self) -> bool:
        """Whether it is a process of this machine that is no more."""
        if self.machine is None or self.machine != _machine():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
        return False

    def __str__(self) -> str:
        """Who and since when, for a message."""
        since = self.since.astimezone(UTC)
        return f"{self.owner} on {self.host} (process {self.pid}, {self.purpose}, since {since:%H:%M:%S} UTC)"


@dataclass(frozen=True)
class _Found:
    etag: str
    holder: Holder | None
    """None: the content is not a lock's."""
    age: float
    """Seconds since it was last written."""

    @property
    def stale(self) -> bool:
        return self.age > LEASE_SECONDS or (self.holder is not None and self.holder.ended)


class PromotionLock:
    """The lock while it is held."""

    def __init__(self, s3: "S3Client", place: S3Object, holder: Holder, etag: str) -> None:
        self._s3 = s3
        self._place = place
        self._holder = holder
        self._etag = etag
        self._renewed = time.monotonic()
        self._lost = False
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="promotion-lock", daemon=True)
        self._thread.start()

    def require(self) -> None:
        """Check that the lock is still held; to be called before each change.

        Raises:
            OperationError: somebody has taken it over, or it could not be renewed in time.
        """
        if self._lost or time.monotonic() - self._renewed > LEASE_SECONDS:
            raise OperationError(
                f"The lock {self._place.uri} was lost (this process stood still, or S3 could not be "
                "reached), and somebody else may be promoting: run this again; what is done is not done twice"
            )

    def release(self) -> None:
        """Give the lock back, unless somebody has taken it over."""
        self._released.set()
        self._thread.join()
        if not self._lost:
            # A lock that cannot be removed ends by itself.
            with contextlib.suppress(ClientError, BotoCoreError):
                self._s3.delete_object(Bucket=self._place.bucket, Key=self._place.key, IfMatch=self._etag)

    def _keep(self) -> None:
        while not self._released.wait(RENEWAL_SECONDS):
            started = time.monotonic()
            renewed = self._holder.model_copy(update={"renewals": self._holder.renewals + 1})
            try:
                self._etag = _write(self._s3, self._place, renewed, IfMatch=self._etag)
                self._holder, self._renewed = renewed, started
            except ClientError as error:
                if code(error) in _REFUSED:
                    self._lost = True
                    return
            except BotoCoreError:
                continue  # the lease is longer than the interval: the next attempt may reach S3


@contextmanager
def promotion_lock(s3: "S3Client", bucket: str, *, owner: str, purpose: str) -> Iterator[PromotionLock]:
    """Hold the lock of `bucket` during the block.

    Args:
        s3: of the bucket's account.
        bucket: the model bucket of the environment that is promoted to.
        owner: who holds it, as others are told.
        purpose: what it is held for, as others are told, such as "dev → staging".

    Raises:
        OperationError: somebody else holds it, or AWS refuses.
    """
    holder = Holder(
        owner=owner,
        host=socket.gethostname(),
        pid=os.getpid(),
        machine=_machine(),
        purpose=purpose,
        since=datetime.now(UTC),
    )
    lock = _acquire(s3, S3Object(bucket, KEY), holder)
    try:
        yield lock
    finally:
        lock.release()


def _machine() -> str | None:
    """This machine since it was started, and of its containers this one; None where that cannot be told.

    A host's name does not tell: many machines may have the same. boot_id is drawn anew at each start:
    https://www.kernel.org/doc/html/latest/admin-guide/sysctl/kernel.html#random and pid_namespaces(7).
    """
    try:
        return f"{_BOOT_ID.read_text().strip()} {_PID_NAMESPACE.readlink()}"
    except OSError:
        return None


def _acquire(s3: "S3Client", place: S3Object, holder: Holder) -> PromotionLock:
    with refusals_told(f"The lock {place.uri} cannot be taken"):
        for _ in range(_ATTEMPTS):
            found = _find(s3, place)
            if found is not None and not found.stale:
                who = found.holder or "somebody whose name cannot be read"
                raise OperationError(
                    f"{who} is promoting to the same environment: wait until that is done, then run this "
                    f"again. If it was interrupted, its lock ends {LEASE_SECONDS:.0f} s after its last sign "
                    "of life"
                )
            condition = {"IfMatch": found.etag} if found else {"IfNoneMatch": "*"}
            try:
                return PromotionLock(s3, place, holder, _write(s3, place, holder, **condition))
            except ClientError as error:
                if code(error) not in _REFUSED:
                    raise
        raise OperationError(f"Others keep taking the lock {place.uri}: run this again when they are done")


def _find(s3: "S3Client", place: S3Object) -> _Found | None:
    try:
        answer = s3.get_object(Bucket=place.bucket, Key=place.key)
    except ClientError as error:
        if code(error) == "NoSuchKey":
            return None
        raise
    try:
        holder = Holder.model_validate(json.loads(answer["Body"].read()))
    except (ValueError, ValidationError):
        holder = None
    now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    return _Found(answer["ETag"], holder, (now - answer["LastModified"]).total_seconds())


def _write(s3: "S3Client", place: S3Object, holder: Holder, **condition: Any) -> str:
    return s3.put_object(
        Bucket=place.bucket,
        Key=place.key,
        Body=holder.model_dump_json(indent=2).encode(),
        ContentType="application/json",
        **condition,
    )["ETag"]
