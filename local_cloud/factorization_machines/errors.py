"""How a job of the container fails: the two classes that SageMaker's FailureReason distinguishes."""

from __future__ import annotations


class JobError(Exception):
    """Ends the job. `failure_reason` is what the container writes to its failure file."""

    kind = "AlgorithmError"
    log_label = "Algorithm Error"

    @property
    def failure_reason(self) -> str:
        """The class of the error, then its message, as SageMaker shows it."""
        return f"{self.kind}: {self}"


class ClientError(JobError):
    """The user's hyperparameters, channels or data are at fault."""

    kind = "ClientError"
    log_label = "Customer Error"


class AlgorithmError(JobError):
    """The algorithm could not go on for another reason."""
