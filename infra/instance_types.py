"""The SageMaker instance types that an environment may name.

Factorization Machines trains and serves sparse data on CPU only, so the accelerated families are left out:
https://docs.aws.amazon.com/sagemaker/latest/dg/fact-machines.html#fm-instances. Families with local NVMe
disks (m5d, c5d) are left out too: their volumes are encrypted in hardware and refuse a customer key
(https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpointConfig.html, KmsKeyId).
"""

from typing import Final

_FIFTH_GENERATION_GENERAL: Final = ("large", "xlarge", "2xlarge", "4xlarge", "12xlarge", "24xlarge")
_FIFTH_GENERATION_COMPUTE: Final = ("xlarge", "2xlarge", "4xlarge", "9xlarge", "18xlarge")
_SIXTH_GENERATION: Final = ("xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge", "24xlarge")
_BURSTABLE: Final = ("medium", "large", "xlarge", "2xlarge")


def _named(**families: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"ml.{family}.{size}" for family, sizes in families.items() for size in sizes)


TRAINING: Final = _named(
    m5=_FIFTH_GENERATION_GENERAL,
    c5=_FIFTH_GENERATION_COMPUTE,
    m6i=("large", *_SIXTH_GENERATION),
    c6i=_SIXTH_GENERATION,
)
TRANSFORM: Final = _named(
    m5=_FIFTH_GENERATION_GENERAL,
    c5=_FIFTH_GENERATION_COMPUTE,
    m6i=("large", *_SIXTH_GENERATION),
    c6i=("large", *_SIXTH_GENERATION),
)
HOSTING: Final = _named(
    t2=_BURSTABLE,
    m5=_FIFTH_GENERATION_GENERAL,
    c5=("large", *_FIFTH_GENERATION_COMPUTE),
    m6i=("large", *_SIXTH_GENERATION),
    c6i=("large", *_SIXTH_GENERATION),
)
