"""What the function is told by its environment variables."""

import os

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """Environment variables, read by name."""

    model_config = ConfigDict(frozen=True)

    model_package_group: str = Field(alias="MODEL_PACKAGE_GROUP", min_length=1)
    parameter_name: str = Field(alias="PARAMETER_NAME", min_length=1)
    serving_stack: str = Field(alias="SERVING_STACK", min_length=1)

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read the process's environment.

        Raises:
            pydantic.ValidationError: a variable is missing; names each.
        """
        return cls.model_validate(dict(os.environ))
