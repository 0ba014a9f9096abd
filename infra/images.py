"""The container image of SageMaker's built-in Factorization Machines algorithm, per region."""

from typing import Final

ALGORITHM: Final = "factorization-machines"
VERSION: Final = "1"

ACCOUNTS: Final[dict[str, str]] = {
    "af-south-1": "455444449433",
    "ap-east-1": "286214385809",
    "ap-northeast-1": "351501993468",
    "ap-northeast-2": "835164637446",
    "ap-northeast-3": "867004704886",
    "ap-south-1": "991648021394",
    "ap-southeast-1": "475088953585",
    "ap-southeast-2": "712309505854",
    "ap-southeast-3": "951798379941",
    "ca-central-1": "469771592824",
    "ca-west-1": "190319476487",
    "eu-central-1": "664544806723",
    "eu-central-2": "680994064768",
    "eu-north-1": "669576153137",
    "eu-south-1": "257386234256",
    "eu-south-2": "104374241257",
    "eu-west-1": "438346466558",
    "eu-west-2": "644912444149",
    "eu-west-3": "749696950732",
    "il-central-1": "898809789911",
    "me-south-1": "249704162688",
    "sa-east-1": "855470959533",
    "us-east-1": "382416733822",
    "us-east-2": "404615174143",
    "us-gov-west-1": "226302683700",
    "us-west-1": "632365934929",
    "us-west-2": "174872318107",
}
"""Region to the AWS account that publishes the image there.

Source: `image_uri_config/factorization-machines.json` of the SageMaker Python SDK. Of its regions, those are
left out where CloudFormation has no SageMaker endpoint or no model registry (ap-south-2, ap-southeast-4,
cn-*, me-central-1, us-gov-east-1), and the isolated ones, whose registries have other host names.
"""


def image_uri(region: str) -> str:
    """Return `<registry>/<repository>:<tag>` of the algorithm's image in `region`."""
    return f"{ACCOUNTS[region]}.dkr.ecr.{region}.amazonaws.com/{ALGORITHM}:{VERSION}"


def partition(region: str) -> str:
    """Return the AWS partition of `region`."""
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def repository_arn(region: str) -> str:
    """Return the ARN of the repository that the image is pulled from in `region`."""
    return f"arn:{partition(region)}:ecr:{region}:{ACCOUNTS[region]}:repository/{ALGORITHM}"
