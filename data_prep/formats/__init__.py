"""Every layout that ratings come in, read to the same blocks of rows, movies and users.

`open_input` finds out which layout a folder, a zip archive or a single file has, by its content:

    movielens-100k   u.data, or the pairs ua.base/ua.test … u5.base/u5.test; u.item, u.user
    movielens-1m     ratings.dat with whole stars; movies.dat and users.dat, in ISO-8859-1
    movielens-10m    ratings.dat with half stars; movies.dat, in UTF-8
    movielens-csv    ratings.csv and movies.csv: MovieLens 20M, 25M, 32M, latest and latest-small
    csv              anyone's user, item, rating and perhaps timestamp, separated by commas or tabs
"""

from data_prep.formats.input_data import InputData, open_input
from data_prep.formats.ratings_file import RatingsFile
from data_prep.formats.records import Ids, Movie, RatingBlock, User

__all__ = ["Ids", "InputData", "Movie", "RatingBlock", "RatingsFile", "User", "open_input"]
