"""Which account and region a resource belongs to, and its ARN."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Scope:
    """The account and region of a request: resources of one scope are invisible to every other."""

    account: str
    region: str

    @property
    def partition(self) -> str:
        """``aws``, or the partition of China's and GovCloud's regions."""
        if self.region.startswith("cn-"):
            return "aws-cn"
        return "aws-us-gov" if self.region.startswith("us-gov-") else "aws"

    def arn(self, kind: str, name: str) -> str:
        """Return the SageMaker ARN of resource `name` of `kind` (``training-job``, ``model-package``, …)."""
        return f"arn:{self.partition}:sagemaker:{self.region}:{self.account}:{kind}/{name}"

    def log_arn(self, group: str, stream: str = "") -> str:
        """Return the CloudWatch Logs ARN of a log group, or of a stream of it."""
        suffix = f":log-stream:{stream}" if stream else ""
        return f"arn:{self.partition}:logs:{self.region}:{self.account}:log-group:{group}{suffix}"


_ARN = re.compile(r"arn:[^:]+:sagemaker:(?P<region>[^:]+):(?P<account>\d{12}):(?P<kind>[^/]+)/(?P<name>.+)")


def parse_arn(arn: str) -> tuple[Scope, str, str] | None:
    """Return the scope, kind and name of a SageMaker ARN, or None when `arn` is not one."""
    match = _ARN.fullmatch(arn)
    if match is None:
        return None
    return Scope(match["account"], match["region"]), match["kind"], match["name"]
