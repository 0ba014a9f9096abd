import pytest

from local_cloud.sagemaker.states import exception_name


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("ResourceInUse", "ResourceInUseException"),
        ("ResourceLimitExceeded", "ResourceLimitExceededException"),
        ("ConflictException", "ConflictException"),
        ("ValidationException", "AmazonSageMakerException"),
    ],
)
def test_exceptions_are_named_as_by_the_java_sdk(code: str, name: str) -> None:
    assert exception_name(code) == name
