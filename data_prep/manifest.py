"""`manifest.json`: what a prepared data set is made from and what it holds.

It is written last: a data set that has one is complete.
"""

import hashlib
import json
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data_prep.errors import DataError
from data_prep.ratings import HIGHEST_RATING, LOWEST_RATING

FILE_NAME = "manifest.json"
_DIGEST_CHARACTERS = 32


class PrepareSettings(BaseModel):
    """Everything besides the data that decides what is written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    split: Literal["ua"] = "ua"
    liked_threshold: float = Field(default=4.0, ge=LOWEST_RATING, le=HIGHEST_RATING)
    seed: int = Field(default=0, ge=0)
    ranking_users: int = Field(default=1000, ge=1)


class SourceFacts(BaseModel):
    """The data set that was read; `sha256` is of the archive, or over the files of the folder."""

    model_config = ConfigDict(frozen=True)

    name: str
    sha256: str
    format: Literal["movielens-100k"]
    split: Literal["ua"]


class FileFacts(BaseModel):
    """A file that was written."""

    model_config = ConfigDict(frozen=True)

    bytes: int
    sha256: str


class ChannelFacts(FileFacts):
    """A file of records; `key` is its path, `positive_share` the mean of its labels."""

    key: str
    rows: int
    positive_share: float


class Manifest(BaseModel):
    """The content of manifest.json."""

    model_config = ConfigDict(frozen=True)

    format_version: Literal[1] = 1
    digest: str
    source: SourceFacts
    settings: PrepareSettings
    feature_dim: int
    train: ChannelFacts
    test: ChannelFacts
    ranking: ChannelFacts
    users: int
    movies: int
    sparsity: float
    files: dict[str, FileFacts]

    @classmethod
    def loads(cls, content: bytes | str, *, name: str) -> Self:
        """Read a file's content; `name` is what an error calls it. Raises DataError."""
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(str(part) for part in fault["loc"])
            raise DataError(name, f"{where}: {fault['msg']}", remedy="Prepare the data set again") from error

    def dumps(self) -> str:
        """The file's content."""
        return self.model_dump_json(indent=2) + "\n"

    def sizes(self) -> dict[str, int]:
        """The size in bytes of every file but the manifest, by path."""
        channels = {channel.key: channel.bytes for channel in (self.train, self.test, self.ranking)}
        return channels | {name: facts.bytes for name, facts in self.files.items()}


def dataset_digest(source_sha256: str, settings: PrepareSettings) -> str:
    """Name a prepared data set by what decides its bytes: the input, the settings, the format."""
    identity = {
        "format_version": Manifest.model_fields["format_version"].default,
        "source": source_sha256,
        "settings": settings.model_dump(),
    }
    content = json.dumps(identity, sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()[:_DIGEST_CHARACTERS]
