"""Facts about AWS that infra states, against the published tables they come from."""

import gzip
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import botocore
import pytest
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

from infra import images, instance_types
from infra.environment import load_environment


@pytest.fixture(scope="module")
def shapes() -> dict[str, Any]:
    """The shapes of SageMaker's API."""
    model = Path(botocore.__file__).parent / "data" / "sagemaker" / "2017-07-24" / "service-2.json.gz"
    found: dict[str, Any] = json.loads(gzip.decompress(model.read_bytes()))["shapes"]
    return found


@pytest.mark.parametrize(
    ("ours", "shape"),
    [
        (instance_types.TRAINING, "TrainingInstanceType"),
        (instance_types.TRANSFORM, "TransformInstanceType"),
        (instance_types.HOSTING, "ProductionVariantInstanceType"),
    ],
)
def test_instance_types_exist_for_their_use(
    shapes: dict[str, Any], ours: tuple[str, ...], shape: str
) -> None:
    assert set(ours) <= set(shapes[shape]["enum"])
    assert len(set(ours)) == len(ours)


def test_no_instance_type_has_a_local_disk_or_an_accelerator() -> None:
    names = (*instance_types.TRAINING, *instance_types.TRANSFORM, *instance_types.HOSTING)
    families = {name.split(".")[1] for name in names}

    assert {family for family in families if not re.fullmatch("[mct][0-9]i?", family)} == set()


@pytest.fixture(scope="module")
def published_images() -> dict[str, str]:
    """Region to account, as the SageMaker SDK has it."""
    sdk = importlib.util.find_spec("sagemaker")
    if sdk is None or not sdk.submodule_search_locations:
        pytest.skip("the SageMaker SDK is not installed (dependency group `fidelity`)")
    table = Path(sdk.submodule_search_locations[0]) / "image_uri_config" / "factorization-machines.json"
    (version,) = json.loads(table.read_text())["versions"].values()
    accounts: dict[str, str] = version["registries"]
    return accounts


def test_images_are_where_the_sdk_finds_them(published_images: dict[str, str]) -> None:
    assert images.ACCOUNTS.items() <= published_images.items()


def test_every_region_that_has_all_resource_types_is_allowed(published_images: dict[str, str]) -> None:
    kinds = ("Model", "EndpointConfig", "Endpoint", "ModelPackageGroup")
    needed = {f"AWS::SageMaker::{kind}" for kind in kinds}
    types = {
        region: set(PROVIDER_SCHEMA_MANAGER.get_resource_types(region))
        for region in published_images
        if not region.startswith("us-iso")
    }
    complete = {region for region, available in types.items() if needed <= available}

    assert set(images.ACCOUNTS) == complete


def test_image_of_a_region() -> None:
    assert images.image_uri("eu-west-1") == (
        "438346466558.dkr.ecr.eu-west-1.amazonaws.com/factorization-machines:1"
    )
    assert images.repository_arn("us-gov-west-1") == (
        "arn:aws-us-gov:ecr:us-gov-west-1:226302683700:repository/factorization-machines"
    )


def test_names_fit_sagemakers_limit(shapes: dict[str, Any]) -> None:
    prefix = load_environment("dev").prefix.removesuffix("dev") + "x" * 14
    longest = f"{prefix}-{'0' * 8}-{'0' * 8}-ranking"

    assert len(longest) <= shapes["TransformJobName"]["max"]
    assert re.fullmatch(shapes["TransformJobName"]["pattern"], longest)
