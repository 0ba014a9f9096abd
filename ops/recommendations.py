"""Call a deployed recommendation API."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from ops.deployment import Deployment
from ops.errors import OperationError
from ops.local import LocalCloud

_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class RecommendationApi:
    """One environment's API.

    Attributes:
        url: base URL including the stage, without a slash at its end.
        api_key: value of the key that the usage plan knows.
        address: `host:port` to connect to, where that is not what `url` names.
    """

    url: str
    api_key: str
    address: str

    @classmethod
    def of_local(cls, deployment: Deployment, cloud: LocalCloud) -> "RecommendationApi":
        """Return the API that `deployment` has in the local cloud.

        `*.localhost` names reach this machine in curl and in browsers, but not in every resolver, so the
        calls made here connect to 127.0.0.1 and send the name in the Host header.
        """
        deployed = urlsplit(deployment.output("serving", "ApiUrl"))
        api_id = (deployed.hostname or "").split(".")[0]
        stage = deployed.path.rstrip("/")
        return cls(
            url=f"http://{api_id}.execute-api.localhost:{cloud.port}{stage}",
            api_key=deployment.api_key(),
            address=f"127.0.0.1:{cloud.port}",
        )

    def recommendations(self, user: str, *, count: int) -> dict[str, Any]:
        """Return the answer to `GET /users/{user}/recommendations`.

        Raises:
            OperationError: the API answered with an error, or not at all.
        """
        return self._get(self._path(user, count))

    def curl(self, user: str, *, count: int) -> str:
        """Return the shell command that asks for the same."""
        return f"curl -s -H 'x-api-key: {self.api_key}' '{self.url}{self._path(user, count)}'"

    @staticmethod
    def _path(user: str, count: int) -> str:
        return f"/users/{quote(user, safe='')}/recommendations?count={count}"

    def _get(self, path: str) -> dict[str, Any]:
        url = urlsplit(self.url)
        request = urllib.request.Request(  # noqa: S310
            f"{url.scheme}://{self.address}{url.path}{path}",
            headers={"Host": url.netloc, "x-api-key": self.api_key},
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310
                content: dict[str, Any] = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            body = error.read().decode(errors="replace")
            raise OperationError(f"GET {self.url}{path} answered {error.code}: {body[:500]}") from error
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise OperationError(f"GET {self.url}{path} failed: {error}") from error
        return content
