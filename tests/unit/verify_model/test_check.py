from typing import Any

import pytest
from pydantic import ValidationError

from tests.unit.verify_model.conftest import (
    ARTIFACT,
    CONTENT,
    PACKAGE,
    PREFIX,
    SHA256,
    Cloud,
    Context,
    event,
    refusal,
)
from verify_model import handler
from verify_model.errors import VerificationError


def check(request_type: str = "Create", **properties: str) -> Any:
    sent = event(request_type, **({"ModelPackageArn": PACKAGE} | properties))
    return handler.check(sent, Context())  # type: ignore[arg-type]


def said(**properties: str) -> str:
    with pytest.raises(VerificationError) as error:
        check(**properties)
    return str(error.value)


def test_what_was_evaluated_and_approved_may_be_deployed(cloud: Cloud) -> None:
    assert check() == {}
    assert check("Update", ArtifactSha256=SHA256) == {}
    assert ("GetObject", ARTIFACT) in cloud.asked


def test_a_package_of_another_registry_is_not_even_described(cloud: Cloud) -> None:
    other = PREFIX.replace("staging", "dev") + "3"

    assert said(ModelPackageArn=other) == (
        f"Model package {other} is not of this environment's registry, {PREFIX}<version>: deploy one that is."
    )
    assert cloud.asked == []


def test_a_package_that_is_not_there(cloud: Cloud) -> None:
    cloud.describe_package = refusal("ValidationException", f"ModelPackage {PACKAGE} does not exist.")

    assert said() == f"Model package {PACKAGE} does not exist: deploy one that is in the registry."


def test_a_package_that_may_not_be_read(cloud: Cloud) -> None:
    cloud.describe_package = refusal("AccessDeniedException", "not authorized")

    assert said().startswith(f"Model package {PACKAGE} cannot be read: ")


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (
            {"ModelApprovalStatus": "PendingManualApproval"},
            f"Model package {PACKAGE} is PendingManualApproval, not Approved: "
            "approve it, or deploy one that is.",
        ),
        (
            {"ModelApprovalStatus": "Rejected", "ApprovalDescription": "biased"},
            f'Model package {PACKAGE} is Rejected ("biased"), not Approved: '
            "approve it, or deploy one that is.",
        ),
        (
            {"ModelPackageStatus": "Failed"},
            f"Model package {PACKAGE} is Failed, not Completed: deploy one that is.",
        ),
    ],
)
def test_a_package_that_nobody_approved(cloud: Cloud, members: dict[str, str], expected: str) -> None:
    cloud.package |= members

    assert said() == expected
    assert "GetObject" not in cloud.operations()


def test_a_flipped_bit_in_the_artifact(cloud: Cloud) -> None:
    changed = bytearray(CONTENT)
    changed[-1] ^= 1
    cloud.objects[ARTIFACT] = bytes(changed)

    message = said()
    assert message.startswith(f"{ARTIFACT}, the artifact of model package {PACKAGE}, has SHA-256 ")
    assert f", but the package records {SHA256}: its bytes have changed since. " in message
    assert "Restore the version of the object that was registered" in message


def test_an_artifact_that_is_gone(cloud: Cloud) -> None:
    del cloud.objects[ARTIFACT]

    assert said().startswith(f"{ARTIFACT} is not there or may not be read: ")


def test_a_pin_that_is_another_models(cloud: Cloud) -> None:
    assert said(ArtifactSha256="0" * 64) == (
        f"The pin says that the artifact of model package {PACKAGE} has SHA-256 {'0' * 64}, but the package "
        f"records {SHA256}: correct model.artifact_sha256 or model.package_arn, or promote the model again."
    )


def test_a_package_without_a_record(cloud: Cloud) -> None:
    del cloud.package["CustomerMetadataProperties"]["artifact_sha256"]

    assert said().startswith(f"Model package {PACKAGE} records no artifact_sha256")


@pytest.mark.parametrize("members", [{"ModelApprovalStatus": "Rejected"}, {"ModelPackageStatus": "Failed"}])
def test_deletion_and_rollback_are_never_stopped(cloud: Cloud, members: dict[str, str]) -> None:
    cloud.package |= members
    assert handler.check(event("Delete"), Context()) == {}  # type: ignore[arg-type]
    assert cloud.asked == []

    cloud.stack_status = "UPDATE_ROLLBACK_IN_PROGRESS"
    assert check("Update") == {}
    assert cloud.operations() == ["DescribeStacks"]

    cloud.stack_status = "UPDATE_IN_PROGRESS"
    with pytest.raises(VerificationError):
        check("Update")


def test_the_stack_that_is_asked_about_is_the_events(cloud: Cloud) -> None:
    check("Update")

    (_, asked), *_ = cloud.asked
    assert "movie-recommender-staging-serving" in str(asked)


def test_missing_settings_are_named(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MODEL_PACKAGE_ARN_PREFIX")

    with pytest.raises(ValidationError, match="MODEL_PACKAGE_ARN_PREFIX"):
        check()


def test_a_template_without_a_package_is_refused(cloud: Cloud) -> None:
    with pytest.raises(ValidationError, match="ModelPackageArn"):
        handler.check(event("Create"), Context())  # type: ignore[arg-type]
