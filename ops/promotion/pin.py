"""The pin of an environment that serves promoted models: which package, with which bytes, in its settings."""

import os
import shutil
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit

from infra.environment import Environment, load_environment
from ops.errors import OperationError
from ops.git import git, git_succeeds


@dataclass(frozen=True)
class Pin:
    """A package of the environment's own registry and what its artifact must be."""

    package_arn: str
    artifact_sha256: str


def pin_of(environment: Environment) -> Pin | None:
    """Return the pin in the environment's settings, or None before its first promotion."""
    model = environment.model
    if model.package_arn is None or model.artifact_sha256 is None:
        return None
    return Pin(model.package_arn, model.artifact_sha256)


def write_pin(name: str, pin: Pin, *, config: Path) -> bool:
    """Write the pin into the settings of environment `name`, in one step; nothing else of the file changes.

    Returns:
        Whether there was anything to change.

    Raises:
        ConfigurationError: the settings are no longer valid.
    """
    if pin_of(load_environment(name, folder=config)) == pin:
        return False
    path = config / f"{name}.toml"
    with path.open(encoding="utf-8", newline="") as file:
        document = tomlkit.load(file)
    model: Any = document["model"]
    model["package_arn"] = pin.package_arn
    model["artifact_sha256"] = pin.artifact_sha256
    replace_settings(path, tomlkit.dumps(document).encode())
    return True


def replace_settings(path: Path, content: bytes) -> None:
    """Replace a file of settings in one step: whoever reads it finds the old content or the new one."""
    path = path.resolve()
    # Always the same name: what an interrupted run leaves, the next one overwrites. It does not end in
    # `.toml`, so that it is never taken for an environment.
    successor = path.with_name(f".{path.name}.new")
    with successor.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    shutil.copymode(path, successor)
    successor.replace(path)


def committed_pins(name: str, *, config: Path) -> list[Pin]:
    """Return the pins that git knows of environment `name`, the latest first, without repetitions in a row.

    Commits of the main line count, each as a pull request left it. Versions of the file without a pin, or
    not readable as TOML, are passed over.

    Raises:
        OperationError: `config` is in no git checkout.
    """
    if not git_succeeds(config, "rev-parse", "--verify", "--quiet", "HEAD"):
        raise OperationError(
            f"{config} is in no git checkout with a commit: git's history has the earlier pins"
        )
    pins: list[Pin] = []
    for pin in _committed(config, f"{name}.toml"):
        if not pins or pins[-1] != pin:
            pins.append(pin)
    return pins


def _committed(config: Path, file: str) -> Iterator[Pin]:
    commits = git(config, "log", "--first-parent", "--format=%H", "--", file).split()
    for commit in commits:
        if not git_succeeds(config, "cat-file", "-e", f"{commit}:./{file}"):
            continue  # the commit that removed it
        try:
            model = tomllib.loads(git(config, "show", f"{commit}:./{file}")).get("model", {})
            yield Pin(str(model["package_arn"]), str(model["artifact_sha256"]))
        except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError):
            continue
