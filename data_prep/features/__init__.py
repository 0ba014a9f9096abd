"""From users and movies to the rows of a sparse matrix, the same for training and for a request."""

from data_prep.features.encoder import FeatureEncoder
from data_prep.features.layout import MovieData, UserData, describe
from data_prep.features.rows import one_hot, ranking_rows, ranking_users, shuffled

__all__ = [
    "FeatureEncoder",
    "MovieData",
    "UserData",
    "describe",
    "one_hot",
    "ranking_rows",
    "ranking_users",
    "shuffled",
]
