"""What the function is told by its environment variables."""

import os

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """Environment variables, read by name."""

    model_config = ConfigDict(frozen=True)

    endpoint_name: str = Field(alias="ENDPOINT_NAME", min_length=1)
    model_package_arn: str = Field(
        alias="MODEL_PACKAGE_ARN", pattern=r"^arn:[^:]+:sagemaker:.+:model-package/.+$"
    )

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read the process's environment.

        Raises:
            pydantic.ValidationError: a variable is missing or malformed; names each.
        """
        return cls.model_validate(dict(os.environ))
