from hypothesis import given
from hypothesis import strategies as st

from local_cloud.sagemaker.scope import Scope, parse_arn

NAMES = st.from_regex(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", fullmatch=True)
SCOPES = st.builds(
    Scope,
    account=st.from_regex(r"[0-9]{12}", fullmatch=True),
    region=st.sampled_from(["us-east-1", "cn-north-1", "us-gov-west-1"]),
)


@given(SCOPES, st.sampled_from(["model", "endpoint-config", "model-package"]), NAMES)
def test_arn_is_parsed_back(scope: Scope, kind: str, name: str) -> None:
    assert parse_arn(scope.arn(kind, name)) == (scope, kind, name)


def test_version_is_part_of_a_package_name() -> None:
    scope = Scope("111111111111", "us-east-1")
    arn = "arn:aws:sagemaker:us-east-1:111111111111:model-package/group/3"
    assert parse_arn(arn) == (scope, "model-package", "group/3")
    assert scope.arn("model-package", "group/3") == arn


def test_partition_follows_the_region() -> None:
    assert Scope("1" * 12, "cn-north-1").arn("model", "m").startswith("arn:aws-cn:sagemaker:cn-north-1:")
    assert Scope("1" * 12, "us-gov-west-1").partition == "aws-us-gov"


def test_other_text_is_not_an_arn() -> None:
    assert parse_arn("my-model") is None
    assert parse_arn("arn:aws:iam::111111111111:role/r") is None
