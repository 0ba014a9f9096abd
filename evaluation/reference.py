"""`reference.json`: what the model said of some test rows when it was evaluated.

Whoever deploys the model asks it about the same rows again: only the same model gives the same scores. This
module needs no numpy, so that a small function can read the file.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from evaluation.errors import EvaluationError


class ReferenceRow(BaseModel):
    """One input of the model, as its columns other than 0 and their values, and the score that it got."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    keys: tuple[Annotated[int, Field(ge=0)], ...]
    values: tuple[float, ...]
    score: float = Field(ge=0, le=1)


class Reference(BaseModel):
    """Inputs of `feature_dim` columns with their scores, and the id of a user who gets recommendations."""

    model_config = ConfigDict(frozen=True)

    format_version: Literal[1] = 1
    feature_dim: int = Field(gt=0)
    user: str
    rows: tuple[ReferenceRow, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _rows_fit(self) -> Self:
        for number, row in enumerate(self.rows, start=1):
            if len(row.keys) != len(row.values):
                raise ValueError(f"row {number} has {len(row.keys)} keys but {len(row.values)} values")
            if any(key >= self.feature_dim for key in row.keys):
                raise ValueError(f"row {number} has a key outside the {self.feature_dim} columns")
        return self

    @classmethod
    def loads(cls, content: bytes | str, *, name: str = "reference.json") -> Self:
        """Read a file's content; `name` is what an error calls it.

        Raises:
            EvaluationError: it is not of this format.
        """
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(str(part) for part in fault["loc"])
            raise EvaluationError(f"{name}: {where}{': ' if where else ''}{fault['msg']}") from error
