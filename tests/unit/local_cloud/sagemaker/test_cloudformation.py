import re

import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from local_cloud.sagemaker.cloudformation import TYPES, ResourceType, generated_name


@pytest.mark.parametrize("resource_type", TYPES, ids=lambda each: each.type_name)
def test_create_only_properties_are_those_of_the_registry(resource_type: type[ResourceType]) -> None:
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", resource_type.type_name).schema
    registered = {path.removeprefix("/properties/") for path in schema["createOnlyProperties"]}
    # CreateModelPackage has no such member: CloudFormation's own update rules apply.
    assert set(resource_type.create_only) == {path for path in registered if "/" not in path}


@pytest.mark.parametrize("resource_type", TYPES, ids=lambda each: each.type_name)
def test_attributes_are_known_to_the_registry(resource_type: type[ResourceType]) -> None:
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", resource_type.type_name).schema
    assert set(resource_type.attributes) <= set(schema["properties"])


@pytest.mark.parametrize("logical_id", ["Model", "X" * 80])
def testgenerated_names_are_valid_and_new(logical_id: str) -> None:
    names = {generated_name(logical_id) for _ in range(20)}
    assert len(names) == 20
    assert all(re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", name) for name in names)
