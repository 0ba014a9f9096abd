"""The two trees to compare: the working tree, and a commit of it in a worktree of its own."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ops.errors import OperationError
from ops.git import git, git_succeeds

_SHARED = ("node_modules", ".data")
"""What is not in git and is the same for every commit."""


@dataclass(frozen=True)
class Checkout:
    """A git checkout."""

    root: Path
    dirty: bool
    """Whether the working tree differs from its commit."""

    @property
    def head(self) -> str:
        """What the working tree is, in words."""
        commit = git(self.root, "rev-parse", "--short", "HEAD")
        return f"the working tree on {commit}" if self.dirty else commit

    def default_base(self) -> str:
        """Return what to compare with if nobody says: the last commit that the working tree differs from.

        Raises:
            OperationError: the working tree is the first commit.
        """
        if self.dirty:
            return "HEAD"
        if not git_succeeds(self.root, "rev-parse", "--verify", "--quiet", "HEAD~1^{commit}"):
            raise OperationError(
                "There is no commit before this one to compare with (a shallow clone has none, either): "
                "name one with --base, or change something"
            )
        return "HEAD~1"

    def commit(self, ref: str) -> str:
        """Return the hash that `ref` names.

        Raises:
            OperationError: there is no such commit.
        """
        if ref.startswith("-") or not git_succeeds(
            self.root, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}"
        ):
            raise OperationError(
                f"--base {ref}: there is no such commit, branch or tag in {self.root}; "
                "`git fetch` brings what is only on the remote"
            )
        return git(self.root, "rev-parse", "--verify", f"{ref}^{{commit}}")

    def described(self, ref: str) -> str:
        """Return `ref` with the short hash that it names."""
        short = git(self.root, "rev-parse", "--short", self.commit(ref))
        return ref if ref.startswith(short) else f"{ref} ({short})"

    @contextmanager
    def worktree(self, ref: str, folder: Path) -> Iterator[Path]:
        """Check `ref` out into `folder`, with this checkout's packages and downloads; remove it afterwards.

        Raises:
            OperationError: git could not.
        """
        git(self.root, "worktree", "add", "--quiet", "--detach", str(folder), self.commit(ref))
        try:
            self._share_with(folder)
            yield folder
        finally:
            self._remove(folder)

    def _share_with(self, folder: Path) -> None:
        for name in _SHARED:
            if (self.root / name).exists() and not (folder / name).exists():
                (folder / name).symlink_to(self.root / name)
        if not (folder / ".venv").exists():
            (folder / ".venv").symlink_to(sys.prefix)
        build = self.root / "build"
        if (build / "functions").is_dir():
            shutil.copytree(
                build / "functions", folder / "build" / "functions", symlinks=True, copy_function=_link
            )
        if (build / "wheels").is_dir():
            (folder / "build").mkdir(exist_ok=True)
            (folder / "build" / "wheels").symlink_to(build / "wheels")

    def _remove(self, folder: Path) -> None:
        for link in (*_SHARED, ".venv", "build/wheels"):
            if (folder / link).is_symlink():
                (folder / link).unlink()
        shutil.rmtree(folder, ignore_errors=True)
        git(self.root, "worktree", "prune")


def checkout(directory: Path) -> Checkout:
    """Return the git checkout that `directory` is the root of or in.

    Raises:
        OperationError: it is in none, it has no commit, or git is not installed.
    """
    if shutil.which("git") is None:
        raise OperationError(
            "git is not installed: compare two synthesized directories with --before and --after"
        )
    if not git_succeeds(directory, "rev-parse", "--show-toplevel"):
        raise OperationError(
            f"{directory} is not a git checkout, so there is nothing to compare with: "
            "compare two synthesized directories with --before and --after"
        )
    root = Path(git(directory, "rev-parse", "--show-toplevel"))
    if not git_succeeds(root, "rev-parse", "--verify", "--quiet", "HEAD"):
        raise OperationError(f"{root} has no commit yet, so there is nothing to compare with")
    return Checkout(root=root, dirty=bool(git(root, "status", "--porcelain")))


def _link(source: str, target: str) -> None:
    """Share a file's content, which a new bundle replaces and never writes into, or copy it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
