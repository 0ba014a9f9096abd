"""Whether the model registry can name the ratings that a model is made of."""

import unicodedata

from data_prep.errors import DataError

_LONGEST = 256
_PUNCTUATION = frozenset("_.:/=+-@")


def check_source_key(bucket: str, key: str) -> None:
    r"""Refuse a key that could not be kept with the model which is trained on its object.

    The registered model package names the key in its customer metadata, whose values SageMaker takes in the
    pattern `([\p{L}\p{Z}\p{N}_.:\/=+\-@]*)${1,256}`:
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModelPackage.html

    Raises:
        DataError: names the first character that does not fit, or the length.
    """
    where = f"s3://{bucket}/{key}"
    remedy = "Upload the ratings under another name: letters, digits, spaces and _ . : / = + - @"
    for character in key:
        if unicodedata.category(character)[0] not in "LZN" and character not in _PUNCTUATION:
            raise DataError(
                where,
                f"the model registry cannot keep a key with {_named(character)} in it",
                remedy=remedy,
            )
    if len(key) > _LONGEST:
        raise DataError(
            f"s3://{bucket}/{key[:_LONGEST]}…",
            f"the key has {len(key)} characters, and the model registry keeps {_LONGEST} at most",
            remedy="Upload the ratings under a shorter name",
        )


def _named(character: str) -> str:
    name = unicodedata.name(character, "")
    return f"{character!r} ({name})" if name else repr(character)
