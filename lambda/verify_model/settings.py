"""What the functions are told by their environment variables."""

import os
from typing import Self

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """Environment variables, read by name."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    @classmethod
    def from_environment(cls) -> Self:
        """Read the process's environment.

        Raises:
            pydantic.ValidationError: a variable is missing; names each.
        """
        return cls.model_validate(dict(os.environ))


class CheckSettings(Settings):
    """The check's."""

    model_package_arn_prefix: str = Field(
        alias="MODEL_PACKAGE_ARN_PREFIX",
        pattern=r"^arn:[^:]+:sagemaker:.+:model-package/.+/$",
        description="The ARN of a package in the environment's registry, up to its version.",
    )


class SmokeTestSettings(Settings):
    """The smoke test's."""

    endpoint_name: str = Field(alias="ENDPOINT_NAME", min_length=1)
    recommend_function: str = Field(alias="RECOMMEND_FUNCTION", min_length=1)
    instance_count: int = Field(alias="INSTANCE_COUNT", ge=1, description="The endpoint's, as configured.")
