"""From users and movies to the rows of a sparse matrix, the same for training and for a request."""

from data_prep.features.encoder import FeatureEncoder
from data_prep.features.layout import MovieData, UserData, describe

__all__ = [
    "FeatureEncoder",
    "MovieData",
    "UserData",
    "describe",
]
