"""What AWS refuses is one line that says what was being done."""

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from ops.errors import OperationError
from ops.refusals import is_denied, is_missing, refusals_told


def error(code: str, message: str = "because") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "PutObject")


@pytest.mark.parametrize("code", ["ExpiredToken", "ExpiredTokenException"])
def test_credentials_that_expire_on_the_way(code: str) -> None:
    match = "s3://b/k cannot be written: the credentials have expired: renew them and run this again"
    with pytest.raises(OperationError, match=match), refusals_told("s3://b/k cannot be written"):
        raise error(code)


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        (error("AccessDenied"), r"^x: An error occurred \(AccessDenied\) .*: because$"),
        (EndpointConnectionError(endpoint_url="https://s3"), "^x: Could not connect to .*https://s3"),
    ],
)
def test_others_are_told_as_aws_tells_them(refusal: Exception, told: str) -> None:
    with pytest.raises(OperationError, match=told), refusals_told("x"):
        raise refusal


def test_what_is_no_refusal_passes() -> None:
    with pytest.raises(KeyError), refusals_told("x"):
        raise KeyError


@pytest.mark.parametrize(
    ("refusal", "missing"),
    [
        (error("404"), True),
        (error("NoSuchKey"), True),
        (error("ParameterNotFound"), True),
        (error("ValidationException", 'Could not find endpoint "x".'), True),
        (error("ValidationError", "Stack with id x does not exist"), True),
        (error("ValidationException", "1 validation error detected"), False),
        (error("AccessDenied", "the role does not exist"), False),
        (error("403"), False),
    ],
)
def test_missing_is_told_from_forbidden_and_invalid(refusal: ClientError, missing: bool) -> None:
    assert is_missing(refusal) is missing


@pytest.mark.parametrize(
    ("code", "denied"),
    [("AccessDeniedException", True), ("AccessDenied", True), ("ValidationException", False), ("404", False)],
)
def test_denied_is_told_by_its_code(code: str, denied: bool) -> None:
    assert is_denied(error(code, "is not authorized")) is denied
