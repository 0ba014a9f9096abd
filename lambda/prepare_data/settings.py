"""What the function is told by its environment variables."""

import os

from pydantic import BaseModel, ConfigDict, Field

from data_prep.manifest import PrepareSettings

_CONFIGURED = (
    "split",
    "shuffle",
    "seed",
    "liked_threshold",
    "duplicates",
    "unknown_test",
    "max_bad_rows",
    "ranking_users",
)
"""What an environment's settings say of the preparation; the rest has its defaults."""


class BatchSettings(BaseModel):
    """Environment variables of the function that chooses between itself and AWS Batch."""

    model_config = ConfigDict(frozen=True)

    above_mib: int = Field(alias="ABOVE_MIB", ge=0)
    shards: int = Field(alias="SHARDS", ge=2)

    @classmethod
    def from_environment(cls) -> "BatchSettings":
        """Read the process's environment. Raises pydantic.ValidationError."""
        return cls.model_validate(dict(os.environ))


class Settings(BaseModel):
    """Environment variables, read by name."""

    model_config = ConfigDict(frozen=True)

    raw_bucket: str = Field(alias="RAW_BUCKET", min_length=1)
    prepared_bucket: str = Field(alias="PREPARED_BUCKET", min_length=1)
    name_prefix: str = Field(alias="NAME_PREFIX", min_length=1)
    preparation: PrepareSettings

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read the process's environment.

        Raises:
            pydantic.ValidationError: a variable is missing or malformed; names each.
        """
        preparation = {name: os.environ.get(name.upper()) for name in _CONFIGURED}
        return cls.model_validate(dict(os.environ) | {"preparation": preparation})
