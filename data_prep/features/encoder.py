"""Encodes pairs of user and movie by a catalog's groups: training rows, test rows and requests alike."""

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from data_prep.arrays import Floats, Integers
from data_prep.catalog import UNKNOWN, Catalog, Group
from data_prep.features.elements import Elements
from data_prep.histories import TrainHistories
from data_prep.lists import Lists
from data_prep.recordio import SparseRecords

_BATCH_ELEMENTS = 1 << 20


class FeatureEncoder:
    """Turns pairs of user and movie into rows of `catalog.feature_dim` columns.

    `histories` are needed where the catalog has a group of histories; raises ValueError without.
    """

    def __init__(self, catalog: Catalog, histories: TrainHistories | None = None) -> None:
        self._catalog = catalog
        self._user_history = catalog.group("user_history")
        self._movie_history = catalog.group("movie_history")
        if histories is None and (self._user_history or self._movie_history):
            raise ValueError("the catalog's groups need histories")
        self._histories = histories

    def encode(
        self,
        users: Integers,
        movies: Integers,
        times: Integers | None = None,
        *,
        own: Integers | None = None,
        labels: Floats | None = None,
    ) -> SparseRecords:
        """Encode all pairs at once; each row's columns ascend.

        `users` and `movies` are indexes, int64[n]; -1 stands for one that is unknown, whose columns are left
        out. `times` are Unix seconds, int64[n]; without them the rows are of the last span of time, as a
        request is. `own` are the movies, int64[n], of the train ratings that the rows come from, which are
        left out of the histories: what a row is to predict must not be in it. Rows that do not come from a
        train rating have no `own`. `labels`, float32[n], are handed on; without them they are NaN.

        Raises ValueError where an index is none of the catalog's.
        """
        for name, indexes, size in (
            ("user", users, len(self._catalog.users)),
            ("movie", movies, len(self._catalog.movies)),
        ):
            if len(indexes) and not UNKNOWN <= indexes.min() <= indexes.max() < size:
                raise ValueError(
                    f"{name} indexes run from {indexes.min()} to {indexes.max()}, of {size} {name}s"
                )
        rows = Elements.side_by_side(list(self._parts(users, movies, times, own)))
        return SparseRecords(
            labels=np.full(len(users), np.nan, dtype=np.float32) if labels is None else labels,
            indptr=rows.boundaries,
            keys=rows.keys,
            values=rows.values,
            shape=self._catalog.feature_dim,
        )

    def batches(
        self,
        users: Integers,
        movies: Integers,
        times: Integers | None = None,
        *,
        own: Integers | None = None,
        labels: Floats | None = None,
    ) -> Iterator[SparseRecords]:
        """Encode as `encode` does, some rows at a time: so many as have about a million elements together.

        A history can make a row as wide as there are users, or movies.
        """
        ends = np.cumsum(self._widths(users, movies))
        first = 0
        while first < len(users):
            before = ends[first - 1] if first else 0
            end = max(first + 1, int(np.searchsorted(ends, before + _BATCH_ELEMENTS, side="right")))
            part = slice(first, end)
            yield self.encode(
                users[part],
                movies[part],
                None if times is None else times[part],
                own=None if own is None else own[part],
                labels=None if labels is None else labels[part],
            )
            first = end

    def _parts(
        self, users: Integers, movies: Integers, times: Integers | None, own: Integers | None
    ) -> Iterator[Elements]:
        """The elements of neighbouring groups that depend on the same thing, in the order of the columns."""
        catalog, histories = self._catalog, self._histories
        if group := catalog.group("user"):
            yield Elements.single(users, offset=group.offset, scale=group.scale)
        if self._of_movies:
            yield self._of_movies.take(movies)
        if self._of_users:
            yield self._of_users.take(users)
        if group := catalog.group("time"):
            spans = self._spans(times, len(users))
            yield Elements.single(spans, offset=group.offset, scale=group.scale)
        if histories and (group := self._user_history):
            yield _history(histories.movies_of(users), own, group)
        if histories and (group := self._movie_history):
            yield _history(histories.users_of(movies), None if own is None else users, group)

    def _spans(self, times: Integers | None, rows: int) -> Integers:
        starts = np.array(self._catalog.vocabularies.times)
        if times is None:
            return np.full(rows, len(starts) - 1)
        return np.maximum(np.searchsorted(starts, times, side="right") - 1, 0)

    def _widths(self, users: Integers, movies: Integers) -> Integers:
        """At most how many elements each row has."""
        most = 2 + sum(
            int(np.diff(table.boundaries).max()) for table in (self._of_movies, self._of_users) if table
        )
        widths = np.full(len(users), most)
        if self._histories and self._user_history:
            widths += self._histories.count_movies_of(users)
        if self._histories and self._movie_history:
            widths += self._histories.count_users_of(movies)
        return widths

    @cached_property
    def _of_movies(self) -> Elements | None:
        """Of each movie, what depends on nothing else."""
        catalog, vocabularies = self._catalog, self._catalog.vocabularies
        parts = []
        if group := catalog.group("movie"):
            every = np.arange(len(catalog.movies))
            parts.append(Elements.single(every, offset=group.offset, scale=group.scale))
        if group := catalog.group("genres"):
            places = {genre: place for place, genre in enumerate(vocabularies.genres)}
            genres = [sorted(places[genre] for genre in movie.genres) for movie in catalog.movies]
            lists = Lists.of_lengths(
                np.array([len(members) for members in genres]),
                np.array([member for members in genres for member in members], dtype=np.int64),
            )
            parts.append(Elements.several(lists, offset=group.offset, scale=group.scale))
        if group := catalog.group("year"):
            indexes = {year: place for place, year in enumerate(vocabularies.years)}
            years = np.array(
                [UNKNOWN if movie.year is None else indexes[movie.year] for movie in catalog.movies]
            )
            parts.append(Elements.single(years, offset=group.offset, scale=group.scale))
        return Elements.side_by_side(parts) if parts else None

    @cached_property
    def _of_users(self) -> Elements | None:
        """Of each user, what depends on nothing else, less the user's own column, which comes first."""
        features = self._catalog.user_features
        parts = [
            Elements.single(np.array(indexes), offset=group.offset, scale=group.scale)
            for name, indexes in (
                ("age", features.age),
                ("gender", features.gender),
                ("occupation", features.occupation),
            )
            if (group := self._catalog.group(name))
        ]
        return Elements.side_by_side(parts) if parts else None


def _history(members: Lists, without: Integers | None, group: Group) -> Elements:
    """A history's elements; `without`, int64[n], is the member that each row does without."""
    if without is not None:
        members = members.where(members.members != np.repeat(without, members.lengths))
    return Elements.several(members, offset=group.offset, scale=group.scale)
