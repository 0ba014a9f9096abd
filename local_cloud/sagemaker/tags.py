"""Tags of SageMaker resources, by ARN."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from local_cloud.sagemaker.errors import validation
from local_cloud.sagemaker.scope import Scope, parse_arn
from local_cloud.sagemaker.table import Record

_MAX_TAGS = 50


class Tags:
    """The tag operations."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tags: dict[str, dict[str, str]] = {}

    def put(self, arn: str, tags: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
        """Set tags and return all that the resource has now."""
        with self._lock:
            merged = {**self._tags.get(arn, {}), **{tag["Key"]: tag["Value"] for tag in tags}}
            if len([key for key in merged if not key.startswith("aws:")]) > _MAX_TAGS:
                raise validation(f"A resource has at most {_MAX_TAGS} tags")
            self._tags[arn] = merged
            return _as_list(merged)

    def forget(self, arn: str) -> None:
        """Drop the tags of a deleted resource."""
        with self._lock:
            self._tags.pop(arn, None)

    def add(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """AddTags."""
        _require_own(scope, parameters["ResourceArn"])
        return {"Tags": self.put(parameters["ResourceArn"], parameters["Tags"])}

    def list(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """ListTags."""
        _require_own(scope, parameters["ResourceArn"])
        with self._lock:
            return {"Tags": _as_list(self._tags.get(parameters["ResourceArn"], {}))}

    def delete(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """DeleteTags."""
        _require_own(scope, parameters["ResourceArn"])
        with self._lock:
            tags = self._tags.get(parameters["ResourceArn"], {})
            for key in parameters["TagKeys"]:
                tags.pop(key, None)
        return {}


def _as_list(tags: Mapping[str, str]) -> "list[dict[str, str]]":
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _require_own(scope: Scope, arn: str) -> None:
    parsed = parse_arn(arn)
    if parsed is None or parsed[0] != scope:
        raise validation(f"{arn} is not a SageMaker resource of account {scope.account} in {scope.region}")
