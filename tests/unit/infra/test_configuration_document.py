"""docs/configuration.md explains every key and no other."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from infra.environment import Environment
from infra.explanation import unwrapped

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "configuration.md"


def _keys(model: type[BaseModel], prefix: str = "") -> set[str]:
    """Every key of the settings file, with its table."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        kind, _ = unwrapped(field)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found |= _keys(kind, f"{prefix}{name}.")
        elif not field.exclude:
            found.add(f"{prefix}{name}")
    return found


@pytest.fixture(scope="module")
def documented() -> set[str]:
    found: set[str] = set()
    for row in re.findall(r"^\| (`.+?) \|", DOCUMENT.read_text(), flags=re.MULTILINE):
        names = re.findall(r"`([a-z0-9_.]+)`", row)
        table = "training.hyperparameters." if any(_is_hyperparameter(name) for name in names) else ""
        found |= {name if name.startswith(table) else f"{table}{name}" for name in names}
    return found


def _is_hyperparameter(name: str) -> bool:
    return name.rpartition(".")[2] in {
        key.rpartition(".")[2] for key in _keys(Environment) if "hyperparameters" in key
    }


def test_every_key_is_explained(documented: set[str]) -> None:
    assert documented == _keys(Environment)
