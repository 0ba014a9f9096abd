"""The hyperparameters of SageMaker's built-in Factorization Machines, by its own names and rules.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/fact-machines-hyperparameters.html. `feature_dim` is
left out because the prepared data decides it, and `predictor_type` because the gate judges a classifier.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(gt=0, description="a whole number above 0")]
NonNegative = Annotated[float, Field(ge=0, description="a number, 0 or more")]
Number = Annotated[float, Field(description="a number")]
InitMethod = Annotated[Literal["normal", "uniform", "constant"], Field(description="a method")]


class Hyperparameters(BaseModel):
    """What an environment sets; whatever it leaves out, the algorithm's own default decides."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    num_factors: Count
    epochs: Count
    mini_batch_size: Count

    bias_lr: NonNegative | None = None
    linear_lr: NonNegative | None = None
    factors_lr: NonNegative | None = None
    bias_wd: NonNegative | None = None
    linear_wd: NonNegative | None = None
    factors_wd: NonNegative | None = None

    bias_init_method: InitMethod | None = None
    bias_init_scale: NonNegative | None = None
    bias_init_sigma: NonNegative | None = None
    bias_init_value: Number | None = None
    linear_init_method: InitMethod | None = None
    linear_init_scale: NonNegative | None = None
    linear_init_sigma: NonNegative | None = None
    linear_init_value: Number | None = None
    factors_init_method: InitMethod | None = None
    factors_init_scale: NonNegative | None = None
    factors_init_sigma: NonNegative | None = None
    factors_init_value: Number | None = None

    clip_gradient: Number | None = None
    eps: Number | None = None
    rescale_grad: Number | None = None

    def as_strings(self) -> dict[str, str]:
        """Return what the environment sets as CreateTrainingJob takes it: a map of strings."""
        return {name: f"{value}" for name, value in self.model_dump(exclude_none=True).items()}
