"""What the function is told by its environment variables."""

import os

from pydantic import BaseModel, ConfigDict, Field

from evaluation.gate import Gate


class Settings(BaseModel):
    """Environment variables, read by name."""

    model_config = ConfigDict(frozen=True)

    model_bucket: str = Field(alias="MODEL_BUCKET", min_length=1)
    min_accuracy: float = Field(alias="GATE_MIN_ACCURACY", ge=0, le=1)
    min_auc: float = Field(alias="GATE_MIN_AUC", ge=0, le=1)
    max_cross_entropy: float = Field(alias="GATE_MAX_CROSS_ENTROPY", gt=0, allow_inf_nan=False)

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read the process's environment.

        Raises:
            pydantic.ValidationError: a variable is missing or malformed; names each.
        """
        return cls.model_validate(dict(os.environ))

    @property
    def gate(self) -> Gate:
        """The bounds that a model must keep."""
        return Gate(
            min_accuracy=self.min_accuracy, min_auc=self.min_auc, max_cross_entropy=self.max_cross_entropy
        )
