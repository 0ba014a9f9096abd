import pytest

from local_cloud.sagemaker import images
from local_cloud.sagemaker.errors import SageMakerError

VIRGINIA = "382416733822.dkr.ecr.us-east-1.amazonaws.com/factorization-machines"


def test_image_of_a_region() -> None:
    assert images.image_uri("us-east-1") == f"{VIRGINIA}:1"
    assert images.image_uri("cn-north-1").startswith("390948362332.dkr.ecr.cn-north-1.amazonaws.com.cn/")


def test_supported_images() -> None:
    images.require_supported(f"{VIRGINIA}:1", "us-east-1")
    images.require_supported(f"{VIRGINIA}:latest", "us-east-1")


@pytest.mark.parametrize(
    "image", [None, f"{VIRGINIA}:2", "683313688378.dkr.ecr.us-east-1.amazonaws.com/xgboost:1"]
)
def test_other_images_are_refused(image: str | None) -> None:
    with pytest.raises(SageMakerError, match="The local cloud runs one image in us-east-1"):
        images.require_supported(image, "us-east-1")


def test_image_of_another_region_is_refused() -> None:
    with pytest.raises(SageMakerError, match="438346466558"):
        images.require_supported(f"{VIRGINIA}:1", "eu-west-1")


def test_region_without_the_algorithm() -> None:
    with pytest.raises(SageMakerError, match="no image in region ap-southeast-5"):
        images.image_uri("ap-southeast-5")


def test_resolved_image_is_a_digest() -> None:
    assert images.resolved(f"{VIRGINIA}:1").startswith(f"{VIRGINIA}@sha256:")
