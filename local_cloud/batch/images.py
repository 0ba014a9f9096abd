"""Container images without Docker: the build contexts that the CDK staged, run with this interpreter.

The CDK names an image by the hash of its build context, in the repository and in the assembly alike, and asks
ECR for that name before it builds. So an image whose context is at hand counts as built: the context is kept
as the image's content, and a job runs its Dockerfile's entry point there.
"""

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from local_cloud.batch.errors import BatchError

ASSET_REPOSITORY = "-container-assets-"
"""In the name of the repository that `cdk bootstrap` makes."""

_HASH = re.compile(r"[0-9a-f]{64}")
_INSTRUCTION = re.compile(r"^\s*(ENTRYPOINT|CMD)\s+(.*)$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Image:
    """An image's content, and what a container of it runs."""

    folder: Path
    module: str
    arguments: tuple[str, ...]
    """What the entry point gives the module before a job's command."""
    command: tuple[str, ...]
    """A job's command where it names none."""


class Images:
    """The images that the local cloud has."""

    def __init__(self, folder: Path, assemblies: Sequence[Path]) -> None:
        """Keep images in `folder`; look for build contexts in `assemblies`, the newest first."""
        self._folder = folder
        self._assemblies = assemblies

    def has(self, tag: str) -> bool:
        """Tell whether the image of an asset is there; the first time, take its build context."""
        if not _HASH.fullmatch(tag):
            return False
        kept = self._folder / tag
        if kept.is_dir():
            return True
        for assembly in self._assemblies:
            staged = assembly / f"asset.{tag}"
            if (staged / "Dockerfile").is_file():
                unfinished = kept.with_suffix(".part")
                shutil.rmtree(unfinished, ignore_errors=True)
                shutil.copytree(staged, unfinished)
                unfinished.rename(kept)
                return True
        return False

    def image(self, uri: str) -> Image:
        """Find the image that a job definition names.

        Raises:
            BatchError: it is not here, or its entry point is not one that can be run here.
        """
        tag = uri.rpartition(":")[2]
        if ASSET_REPOSITORY not in uri or not self.has(tag):
            raise BatchError(
                f"CannotPullContainerError: {uri}: the local cloud runs images that the CDK built from a "
                "folder with a Dockerfile, and has no such one"
            )
        folder = self._folder / tag
        instructions = {name.upper(): text for name, text in _INSTRUCTION.findall(_dockerfile(folder))}
        entry, command = (_words(instructions.get(name, "[]")) for name in ("ENTRYPOINT", "CMD"))
        match entry:
            case [str(python), "-m", str(module), *arguments] if Path(python).name.startswith("python"):
                return Image(folder, module, tuple(arguments), tuple(command))
        raise BatchError(
            f"{uri}: the local cloud runs images whose entry point is a Python module, "
            f'ENTRYPOINT ["python", "-m", "<module>"]; this one has {entry}'
        )


def _dockerfile(folder: Path) -> str:
    return (folder / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")


def _words(text: str) -> list[str]:
    try:
        words = json.loads(text)
    except ValueError:
        return ["sh", "-c", text]
    return [str(word) for word in words]
