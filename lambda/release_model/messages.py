"""What the state machine sends to the function's three steps, and what it gets back."""

import json
import re
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class State(StrEnum):
    """Where a release stands; the state machine's choice reads it."""

    WAITING = "waiting"
    """Nothing could be begun: begin again."""
    UPDATING = "updating"
    """The serving stack is being updated: look again."""
    RELEASED = "released"
    FAILED = "failed"


class Outcome(BaseModel):
    """What a step found or did.

    Attributes:
        reason: one sentence for people.
        package: the ARN of the model package that is being released.
        token: names the update of the serving stack in its events.
    """

    model_config = ConfigDict(frozen=True)

    state: State
    reason: str
    package: str | None = None
    token: str | None = None


class BeginRequest(BaseModel):
    """The execution that begins, from the state machine's context object.

    Attributes:
        execution: its name.
        started: when it was started.
        entered: when it came to this step, the same in all retries of the step.
    """

    model_config = ConfigDict(frozen=True)

    execution: str = Field(min_length=1)
    started: datetime
    entered: str = Field(min_length=1)

    @property
    def token(self) -> str:
        """A ClientRequestToken for the update that this step begins: at most 128 of `[-a-zA-Z0-9]`."""
        return re.sub(r"[^a-zA-Z0-9]+", "-", f"release-{self.execution}-{self.entered}")[:128]


class Update(BaseModel):
    """An update of the serving stack that `begin` started."""

    model_config = ConfigDict(frozen=True)

    package: str
    token: str


class CheckRequest(BaseModel):
    """The update to look at: what `begin` returned."""

    model_config = ConfigDict(frozen=True)

    release: Update


class Failure(BaseModel):
    """The error that ended a step, as Step Functions hands it on.

    https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
    """

    model_config = ConfigDict(frozen=True)

    error: str = Field(alias="Error")
    cause: str = Field(default="", alias="Cause")

    def __str__(self) -> str:
        """Return error and message in one line."""
        try:
            # What a Lambda function raised is JSON, stack trace and all.
            message = str(json.loads(self.cause)["errorMessage"])
        except (ValueError, TypeError, KeyError):
            message = self.cause
        return ": ".join(part for part in (self.error, " ".join(message.split())) if part)


class RestoreRequest(BaseModel):
    """The execution's state after a step has failed.

    Attributes:
        failure: why.
        release: what the last step that did not fail returned, if one did.
    """

    model_config = ConfigDict(frozen=True)

    failure: Failure
    release: Outcome | None = None

    @property
    def package(self) -> str | None:
        """The package that was being released, if that is known."""
        return self.release.package if self.release else None
