"""What can go wrong in answering a request, in the recommender's own terms."""


class RecommenderError(Exception):
    """Base of these errors. The message is for the caller of the API: no ARNs, no account, no stack trace."""


class UnknownMovieError(RecommenderError):
    """A request names movies that the catalog does not have."""


class UnavailableError(RecommenderError):
    """The endpoint or the model's data cannot be reached now; the same request may work later."""


class ModelFailedError(RecommenderError):
    """The endpoint was reached, but the model did not give usable scores."""


class OtherModelError(ModelFailedError):
    """What was asked may be another model than the one that the request was made for.

    It refused the request, or does not score as that model does.
    """
