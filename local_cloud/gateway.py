"""How SageMaker reaches the other services: through the public endpoint, on behalf of an account."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import boto3
from botocore.config import Config

from local_cloud.sagemaker import service_model
from local_cloud.sagemaker.scope import Scope


class Gateway:
    """The cloud around SageMaker.

    Args:
        port: where the gateway listens on 127.0.0.1.
        put_event: puts an entry of PutEvents on the default bus of a scope.
    """

    def __init__(self, port: int, put_event: Callable[[Scope, Mapping[str, Any]], None]) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self._put_event = put_event
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, Scope], Any] = {}

    def client(self, service: str, scope: Scope) -> Any:
        """Return a boto3 client; the access key id is the account, as everywhere in the local cloud."""
        with self._lock:
            if (service, scope) not in self._clients:
                session: Any = boto3.Session(
                    aws_access_key_id=scope.account,
                    aws_secret_access_key="local",  # noqa: S106
                    region_name=scope.region,
                )
                self._clients[service, scope] = session.client(
                    service,
                    endpoint_url=self.endpoint,
                    config=Config(
                        retries={"total_max_attempts": 2},
                        s3={"addressing_style": "path"},
                        max_pool_connections=32,
                    ),
                )
            return self._clients[service, scope]

    def publish(
        self, scope: Scope, *, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str]
    ) -> None:
        """Put an event of SageMaker."""
        known = {name: value for name, value in detail.items() if value is not None}
        self._put_event(
            scope,
            {
                "Source": "aws.sagemaker",
                "DetailType": detail_type,
                "Detail": service_model.encode_milliseconds(known),
                "Resources": list(resources),
            },
        )
