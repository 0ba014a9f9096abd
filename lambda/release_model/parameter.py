"""The SSM parameter from which the serving stack reads its model package."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


class PackageParameter:
    """The parameter with the ARN of the package to serve."""

    def __init__(self, ssm: "SSMClient", name: str) -> None:
        self._ssm = ssm
        self._name = name

    def read(self) -> str | None:
        """Return its value, or None before the first release."""
        try:
            return self._ssm.get_parameter(Name=self._name)["Parameter"]["Value"]
        except self._ssm.exceptions.ParameterNotFound:
            return None

    def write(self, package: str) -> None:
        """Set it, or make it."""
        self._ssm.put_parameter(
            Name=self._name,
            Description="The model package that the serving stack serves",
            Type="String",
            Value=package,
            Overwrite=True,
        )
