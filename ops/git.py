"""Ask git about a checkout."""

import subprocess
from pathlib import Path

from ops.errors import OperationError


def git(directory: Path, *arguments: str) -> str:
    """Return what `git <arguments>` prints in `directory`, without the line break at its end.

    Raises:
        OperationError: git is not installed, or it failed.
    """
    finished = _run(directory, *arguments)
    if finished.returncode != 0:
        reason = " ".join(finished.stderr.split()) or f"exit code {finished.returncode}"
        raise OperationError(f"`git {' '.join(arguments[:2])}` failed: {reason}")
    return finished.stdout.strip()


def git_succeeds(directory: Path, *arguments: str) -> bool:
    """Tell whether `git <arguments>` exits with 0 in `directory`.

    Raises:
        OperationError: git is not installed.
    """
    return _run(directory, *arguments).returncode == 0


def _run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603
            ["git", *arguments],  # noqa: S607 - the user's own git
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise OperationError("git is not installed: install it and run this again") from error
