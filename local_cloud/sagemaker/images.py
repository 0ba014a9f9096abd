"""The container images that the local cloud can run: Factorization Machines, per region.

Registry accounts as AWS publishes them in "Docker Registry Paths and Example Code"
(https://docs.aws.amazon.com/sagemaker/latest/dg-ecr-paths/sagemaker-algo-docker-registry-paths.html) and in
the SageMaker SDK's ``image_uri_config/factorization-machines.json``.
"""

import re

from local_cloud.sagemaker.errors import validation

_REGISTRY_ACCOUNTS = {
    "af-south-1": "455444449433",
    "ap-east-1": "286214385809",
    "ap-northeast-1": "351501993468",
    "ap-northeast-2": "835164637446",
    "ap-northeast-3": "867004704886",
    "ap-south-1": "991648021394",
    "ap-south-2": "628508329040",
    "ap-southeast-1": "475088953585",
    "ap-southeast-2": "712309505854",
    "ap-southeast-3": "951798379941",
    "ap-southeast-4": "106583098589",
    "ca-central-1": "469771592824",
    "ca-west-1": "190319476487",
    "cn-north-1": "390948362332",
    "cn-northwest-1": "387376663083",
    "eu-central-1": "664544806723",
    "eu-central-2": "680994064768",
    "eu-north-1": "669576153137",
    "eu-south-1": "257386234256",
    "eu-south-2": "104374241257",
    "eu-west-1": "438346466558",
    "eu-west-2": "644912444149",
    "eu-west-3": "749696950732",
    "il-central-1": "898809789911",
    "me-central-1": "272398656194",
    "me-south-1": "249704162688",
    "sa-east-1": "855470959533",
    "us-east-1": "382416733822",
    "us-east-2": "404615174143",
    "us-gov-east-1": "237065988967",
    "us-gov-west-1": "226302683700",
    "us-west-1": "632365934929",
    "us-west-2": "174872318107",
}

_DIGEST = "sha256:" + "0" * 64


def image_uri(region: str) -> str:
    """Return the algorithm's image in `region`.

    Raises:
        SageMakerError: AWS has no such image there.
    """
    account = _REGISTRY_ACCOUNTS.get(region)
    if account is None:
        raise validation(f"Factorization Machines has no image in region {region}")
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"{account}.dkr.ecr.{region}.{suffix}/factorization-machines:1"


def require_supported(image: str | None, region: str) -> None:
    """Check that the local cloud can run `image`.

    Raises:
        SageMakerError: it is another image, or that of another region.
    """
    expected = image_uri(region)
    if image is None or re.sub(r":latest$", ":1", image) != expected:
        raise validation(
            f"The local cloud runs one image in {region}, the built-in Factorization Machines algorithm "
            f"({expected}); it cannot run {image}"
        )


def resolved(image: str) -> str:
    """Return `image` as DescribeEndpoint reports it once pulled: by digest (here a placeholder)."""
    return f"{image.rsplit(':', 1)[0]}@{_DIGEST}"
