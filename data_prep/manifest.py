"""`manifest.json`: what a prepared data set is made from and what it holds.

It is written last: a data set that has one is complete.
"""

import hashlib
import json
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from data_prep.catalog import DEFAULT_GROUPS, GROUP_NAMES, GroupName
from data_prep.errors import BadRow, DataError
from data_prep.objectives import Labels
from data_prep.splits import parse_split

FILE_NAME = "manifest.json"
_DIGEST_CHARACTERS = 32
_MOST_SHARDS = 10_000


class PrepareSettings(BaseModel):
    """Everything besides the data that decides what is written.

    `split` is one of data_prep.splits, `objective` one of data_prep.objectives: for "ranking", each liked
    rating comes with `negatives` unseen movies, sampled by their popularity to the power of
    `popularity_exponent`. `shards` is the number of files that the train rows are shared out to. `duplicates`
    says what happens to pairs of user and movie that are rated more than once, `unknown_test` to test
    ratings whose user or movie trains nothing and is described in no file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    split: str = "ua"
    objective: Literal["rating", "ranking"] = "rating"
    labels: Labels = "liked"
    negatives: int = Field(default=4, ge=1, le=1000)
    popularity_exponent: float = Field(default=0.0, ge=0, le=4)
    features: tuple[GroupName, ...] = DEFAULT_GROUPS
    liked_threshold: float = Field(default=4.0, allow_inf_nan=False)
    seed: int = Field(default=0, ge=0)
    shuffle: bool = True
    shards: int = Field(default=1, ge=1, le=_MOST_SHARDS)
    duplicates: Literal["error", "first", "last"] = "error"
    unknown_test: Literal["drop", "error"] = "drop"
    max_bad_rows: int = Field(default=0, ge=0)
    ranking_users: int = Field(default=1000, ge=1)

    @field_validator("features", mode="before")
    @classmethod
    def _split_list(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(name.strip() for name in value.split(",")) if value.strip() else ()

    @field_validator("features")
    @classmethod
    def _features_are_a_set(cls, value: tuple[GroupName, ...]) -> tuple[GroupName, ...]:
        if not value or len(set(value)) != len(value):
            raise ValueError("give one or more groups, each once")
        return tuple(name for name in GROUP_NAMES if name in value)

    @field_validator("split")
    @classmethod
    def _split_exists(cls, value: str) -> str:
        parse_split(value)
        return value

    @model_validator(mode="after")
    def _stars_are_for_ratings(self) -> Self:
        if self.labels == "stars" and self.objective != "rating":
            raise ValueError('labels "stars" are for the objective "rating"')
        return self


class SourceFacts(BaseModel):
    """The data set that was read; `sha256` is of the archive, or over the files of the folder.

    `id_type` says whether ids are numbers, and ascend by value, or text, by its bytes.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    sha256: str
    format: str
    id_type: Literal["integer", "text"]
    split: str


class LeftOut(BaseModel):
    """Ratings of the input that are in neither part: how many, and the first of the bad rows."""

    model_config = ConfigDict(frozen=True)

    bad_rows: int = 0
    duplicates: int = 0
    unknown_test: int = 0
    first_bad_rows: tuple[BadRow, ...] = ()


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


class TrainFacts(BaseModel):
    """The files of train records, in order; `rows`, `bytes` and `positive_share` are of all together."""

    model_config = ConfigDict(frozen=True)

    rows: int
    positive_share: float
    bytes: int
    shards: tuple[ChannelFacts, ...]


class Manifest(BaseModel):
    """The content of manifest.json."""

    model_config = ConfigDict(frozen=True)

    format_version: Literal[3] = 3
    digest: str
    source: SourceFacts
    settings: PrepareSettings
    feature_dim: int
    train: TrainFacts
    test: ChannelFacts
    ranking: ChannelFacts
    users: int
    movies: int
    sparsity: float
    left_out: LeftOut = LeftOut()
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
        channels = {channel.key: channel.bytes for channel in (*self.train.shards, self.test, self.ranking)}
        return channels | {name: facts.bytes for name, facts in self.files.items()}


def dataset_digest(*, name: str, sha256: str, settings: PrepareSettings) -> str:
    """Name a prepared data set by what decides its bytes: the input, the settings, the format.

    `name` and `sha256` are the input's, as in SourceFacts. The catalog has the name; and a file `u.data` is
    MovieLens, where the same bytes as `mine.tsv` may be anyone's.
    """
    identity = {
        "format_version": Manifest.model_fields["format_version"].default,
        "source": {"name": name, "sha256": sha256},
        "settings": settings.model_dump(),
    }
    content = json.dumps(identity, sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()[:_DIGEST_CHARACTERS]
