"""`catalog.json`: which column means what, and what is known of each movie.

Written once by the preparation, read by whatever builds a request or shows a title; so the layout of the
columns is nowhere else.
"""

from functools import cached_property
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from data_prep.errors import DataError

FILE_NAME = "catalog.json"


class Group(BaseModel):
    """Neighbouring columns, one for each member: `offset` to `offset + size - 1`."""

    model_config = ConfigDict(frozen=True)

    name: Literal["user", "movie"]
    offset: int = Field(ge=0)
    size: int = Field(gt=0)


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
    """Users and movies by index: an index plus its group's offset is a column of the model's input."""

    model_config = ConfigDict(frozen=True)

    format_version: Literal[1] = 1
    dataset: str
    feature_dim: int
    groups: tuple[Group, Group]
    users: tuple[str, ...]
    movies: tuple[CatalogMovie, ...]

    @model_validator(mode="after")
    def _columns_are_covered(self) -> Self:
        user, movie = self.groups
        sizes = (len(self.users), len(self.movies))
        layout = (user.name, user.offset, user.size, movie.name, movie.offset, movie.size)
        if layout != ("user", 0, sizes[0], "movie", sizes[0], sizes[1]) or self.feature_dim != sum(sizes):
            raise ValueError("the groups do not cover the columns of the users and then those of the movies")
        return self

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file; raises DataError where it is not a catalog of this format."""
        return cls.loads(path.read_bytes(), name=str(path))

    @classmethod
    def loads(cls, content: bytes | str, *, name: str = FILE_NAME) -> Self:
        """Read a file's content; `name` is what an error calls it."""
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(str(part) for part in fault["loc"])
            raise DataError(name, f"{where}: {fault['msg']}", remedy="Prepare the data set again") from error

    def dumps(self) -> str:
        """The file's content."""
        return self.model_dump_json()

    def user_index(self, user: str) -> int | None:
        """The index of the user with this id, None where there is none."""
        return self._user_indexes.get(user)

    def movie_index(self, movie: str) -> int | None:
        """The index of the movie with this id, None where there is none."""
        return self._movie_indexes.get(movie)

    def user_column(self, index: int) -> int:
        """The column of the user with this index."""
        return self.groups[0].offset + index

    def movie_column(self, index: int) -> int:
        """The column of the movie with this index."""
        return self.groups[1].offset + index

    @cached_property
    def _user_indexes(self) -> dict[str, int]:
        return {user: index for index, user in enumerate(self.users)}

    @cached_property
    def _movie_indexes(self) -> dict[str, int]:
        return {movie.id: index for index, movie in enumerate(self.movies)}
