"""Answers the API's questions from a model's data and its endpoint."""

import heapq
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from data_prep.catalog import UNKNOWN
from data_prep.features import FeatureEncoder
from recommend.endpoint import Endpoint
from recommend.errors import UnknownMovieError
from recommend.model_data import ModelData
from recommend.schemas import Health, Pair, Prediction, Predictions, Recommendation, Recommendations

_LIKED_SCORE = 0.5
_NAMED_AT_MOST = 10

_NEW_USER_NOTE = (
    "The model has seen no rating of this user: this is the movies' own ranking, the same for every new user."
)


class Recommender:
    """One deployed model.

    Where the endpoint does not serve it, or not it alone, each answer may fail with OtherModelError.
    """

    def __init__(self, *, model_package: str, data: ModelData, endpoint: Endpoint) -> None:
        self.model_package = model_package
        self._endpoint = endpoint
        self._data = data
        self._catalog = data.catalog
        self._histories = data.histories
        self._encoder = FeatureEncoder(data.catalog, data.histories)

    def trusting(self) -> "Recommender":
        """Return this recommender, but one that takes the scores of any model with as many columns."""
        data = replace(self._data, fingerprint=self._data.fingerprint.without_rows())
        return Recommender(model_package=self.model_package, data=data, endpoint=self._endpoint)

    def recommend(self, user: str, *, count: int, minimum_score: float) -> Recommendations:
        """Rank the movies that the user has not rated; equal scores in the catalog's order.

        Raises:
            UnavailableError, ModelFailedError: there are no scores.
        """
        index = self._catalog.user_index(user)
        unrated = np.arange(len(self._catalog.movies))
        if index is not None:
            unrated = np.setdiff1d(unrated, self._histories.movies(index), assume_unique=True)
        scores = self._scores([index] * len(unrated), unrated.tolist())
        wanted = (
            (-score, movie)
            for score, movie in zip(scores, unrated.tolist(), strict=True)
            if score >= minimum_score
        )
        return Recommendations(
            user=user,
            known_user=index is not None,
            model_package=self.model_package,
            recommendations=[
                self._recommendation(rank, movie, -negated)
                for rank, (negated, movie) in enumerate(heapq.nsmallest(count, wanted), start=1)
            ],
            note=None if index is not None else _NEW_USER_NOTE,
        )

    def predict(self, pairs: Sequence[Pair]) -> Predictions:
        """Score the pairs, in their order. A user that the model does not know is scored by the movie alone.

        Raises:
            UnknownMovieError: movies are not in the catalog; the message names them.
            UnavailableError, ModelFailedError: there are no scores.
        """
        movies = [self._catalog.movie_index(pair.movie) for pair in pairs]
        unknown = [
            f"pairs[{position}].movie {pair.movie!r}"
            for position, (pair, movie) in enumerate(zip(pairs, movies, strict=True))
            if movie is None
        ]
        if unknown:
            more = f" and {len(unknown) - _NAMED_AT_MOST} more" if len(unknown) > _NAMED_AT_MOST else ""
            raise UnknownMovieError(f"Not in the catalog: {', '.join(unknown[:_NAMED_AT_MOST])}{more}.")
        users = [self._catalog.user_index(pair.user) for pair in pairs]
        known_movies = [movie for movie in movies if movie is not None]
        scores = self._scores(users, known_movies)
        return Predictions(
            model_package=self.model_package,
            predictions=[
                Prediction(
                    user=pair.user,
                    movie=pair.movie,
                    title=self._catalog.movies[movie].title,
                    known_user=user is not None,
                    score=score,
                    liked=score >= _LIKED_SCORE,
                )
                for pair, user, movie, score in zip(pairs, users, known_movies, scores, strict=True)
            ],
        )

    def check(self) -> Health:
        """Ask the endpoint for one score: proves that the model's data, the endpoint and the model are there.

        Raises:
            UnavailableError, ModelFailedError: they are not.
        """
        self._scores([None], [0])
        return Health(status="ok", endpoint=self._endpoint.name, model_package=self.model_package)

    def _scores(self, users: Sequence[int | None], movies: Sequence[int]) -> list[float]:
        known = np.array([UNKNOWN if user is None else user for user in users], dtype=np.int64)
        batches = self._encoder.batches(known, np.array(movies, dtype=np.int64))
        return self._endpoint.scores(batches, by=self._data.fingerprint)

    def _recommendation(self, rank: int, movie: int, score: float) -> Recommendation:
        entry = self._catalog.movies[movie]
        return Recommendation(
            rank=rank,
            movie=entry.id,
            title=entry.title,
            year=entry.year,
            genres=list(entry.genres),
            score=score,
        )
