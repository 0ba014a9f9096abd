"""`catalog.json`: which column means what, and what is known of each user and movie.

Written once by the preparation, read by whatever encodes rows, builds a request or shows a title; so the
layout of the columns is nowhere else. Reading it needs no NumPy.
"""

from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from data_prep.errors import DataError

FILE_NAME = "catalog.json"

GroupName = Literal[
    "user",
    "movie",
    "genres",
    "year",
    "age",
    "gender",
    "occupation",
    "time",
    "user_history",
    "movie_history",
]
# In the order of their columns.
GROUP_NAMES: tuple[GroupName, ...] = get_args(GroupName)
DEFAULT_GROUPS: tuple[GroupName, ...] = ("user", "movie")

UNKNOWN = -1


class Group(BaseModel):
    """Neighbouring columns, one for each member: `offset` to `offset + size - 1`.

    A row has `scale` in its member's column. Where it can have several members, of `genres` and of the
    histories, it has `scale` / √n in the columns of its n members.
    """

    model_config = ConfigDict(frozen=True)

    name: GroupName
    offset: int = Field(ge=0)
    size: int = Field(gt=0)
    scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class Vocabularies(BaseModel):
    """The members of the groups that stand for neither users nor movies; a member's index is its place.

    `ages` and `times` are where each band of years and each span of Unix seconds begins: it ends where the
    next begins, and the last one does not end. Those and `years` ascend. What the data do not tell is empty.
    """

    model_config = ConfigDict(frozen=True)

    genres: tuple[str, ...] = ()
    years: tuple[int, ...] = ()
    ages: tuple[int, ...] = ()
    genders: tuple[str, ...] = ()
    occupations: tuple[str, ...] = ()
    times: tuple[int, ...] = ()


class UserFeatures(BaseModel):
    """For each user, by index, its index in a vocabulary, -1 where it is unknown; empty without such data."""

    model_config = ConfigDict(frozen=True)

    age: tuple[int, ...] = ()
    gender: tuple[int, ...] = ()
    occupation: tuple[int, ...] = ()


class CatalogMovie(BaseModel):
    """A movie; `ratings` and `likes` count its ratings in the train part, and those that say liked."""

    model_config = ConfigDict(frozen=True)

    id: str
    title: str
    genres: tuple[str, ...]
    year: int | None
    ratings: int = Field(ge=0)
    likes: int = Field(ge=0)


class Catalog(BaseModel):
    """Users and movies by index, and the groups of columns that the model's input consists of."""

    model_config = ConfigDict(frozen=True)

    format_version: Literal[2] = 2
    dataset: str
    feature_dim: int
    groups: tuple[Group, ...] = Field(min_length=1)
    vocabularies: Vocabularies = Vocabularies()
    users: tuple[str, ...]
    user_features: UserFeatures = UserFeatures()
    movies: tuple[CatalogMovie, ...]

    @model_validator(mode="before")
    @classmethod
    def _read_version_1(cls, content: Any) -> Any:
        # It had the first two groups only, without scales. Models that were trained with it stay in service.
        if isinstance(content, dict) and content.get("format_version") == 1:
            return {**content, "format_version": 2}
        return content

    @model_validator(mode="after")
    def _columns_are_covered(self) -> Self:
        names = [group.name for group in self.groups]
        if names != [name for name in GROUP_NAMES if name in names]:
            raise ValueError(f"the groups are not some of {', '.join(GROUP_NAMES)} in this order, each once")
        sizes = group_sizes(len(self.users), len(self.movies), self.vocabularies)
        end = 0
        for group in self.groups:
            if (group.offset, group.size) != (end, sizes[group.name]):
                raise ValueError(
                    f"the groups do not cover the columns: group {group.name} is {group.size} columns from "
                    f"{group.offset}, where it should be {sizes[group.name]} from {end}"
                )
            end += group.size
        if self.feature_dim != end:
            raise ValueError(f"the groups do not cover the columns: they are {end}, not {self.feature_dim}")
        return self

    @model_validator(mode="after")
    def _features_are_in_the_vocabularies(self) -> Self:
        vocabularies = self.vocabularies
        for name, ascending in (
            ("years", vocabularies.years),
            ("ages", vocabularies.ages),
            ("times", vocabularies.times),
        ):
            if list(ascending) != sorted(set(ascending)):
                raise ValueError(f"the vocabulary of {name} does not ascend")
        for name, indexes, size in (
            ("age", self.user_features.age, len(vocabularies.ages)),
            ("gender", self.user_features.gender, len(vocabularies.genders)),
            ("occupation", self.user_features.occupation, len(vocabularies.occupations)),
        ):
            if self.group(name) and len(indexes) != len(self.users):
                raise ValueError(f"there are {len(indexes)} {name} features for {len(self.users)} users")
            if indexes and not UNKNOWN <= min(indexes) <= max(indexes) < size:
                raise ValueError(f"{name} features run from {min(indexes)} to {max(indexes)}, of {size}")
        if self.group("genres"):
            genres = set(vocabularies.genres)
            for movie in self.movies:
                if not genres.issuperset(movie.genres):
                    raise ValueError(f"movie {movie.id} has a genre that is not in the vocabulary")
        if self.group("year"):
            years = {None, *vocabularies.years}
            for movie in self.movies:
                if movie.year not in years:
                    raise ValueError(f"movie {movie.id} has a year that is not in the vocabulary")
        return self

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file; raises DataError where it is not a catalog."""
        return cls.loads(path.read_bytes(), name=str(path))

    @classmethod
    def loads(cls, content: bytes | str, *, name: str = FILE_NAME) -> Self:
        """Read a file's content, of this version or the one before; `name` is what an error calls it."""
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(str(part) for part in fault["loc"])
            raise DataError(name, f"{where}: {fault['msg']}", remedy="Prepare the data set again") from error

    def dumps(self) -> str:
        """The file's content."""
        return self.model_dump_json()

    def group(self, name: str) -> Group | None:
        """The group of this name, None where it is off."""
        return self._groups.get(name)

    def user_index(self, user: str) -> int | None:
        """The index of the user with this id, None where there is none."""
        return self._user_indexes.get(user)

    def movie_index(self, movie: str) -> int | None:
        """The index of the movie with this id, None where there is none."""
        return self._movie_indexes.get(movie)

    @cached_property
    def _groups(self) -> dict[str, Group]:
        return {group.name: group for group in self.groups}

    @cached_property
    def _user_indexes(self) -> dict[str, int]:
        return {user: index for index, user in enumerate(self.users)}

    @cached_property
    def _movie_indexes(self) -> dict[str, int]:
        return {movie.id: index for index, movie in enumerate(self.movies)}


def group_sizes(users: int, movies: int, vocabularies: Vocabularies) -> dict[GroupName, int]:
    """How many members each group has, whether it is on or off."""
    return {
        "user": users,
        "movie": movies,
        "genres": len(vocabularies.genres),
        "year": len(vocabularies.years),
        "age": len(vocabularies.ages),
        "gender": len(vocabularies.genders),
        "occupation": len(vocabularies.occupations),
        "time": len(vocabularies.times),
        "user_history": movies,
        "movie_history": users,
    }
