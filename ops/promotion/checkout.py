"""The checkout that a rollback deploys: which it is, and that nothing but the pin comes along."""

from pathlib import Path

from ops.errors import OperationError
from ops.git import git

_SHOWN = 5


def described(config: Path) -> str:
    """Return branch and commit of the checkout that has `config`.

    Raises:
        OperationError: it is in no git checkout, or that has no commit.
    """
    branch = git(config, "rev-parse", "--abbrev-ref", "HEAD")
    commit = git(config, "log", "-1", "--format=%h (%s)")
    return f"{'no branch' if branch == 'HEAD' else f'branch {branch}'}, commit {commit}"


def require_clean(name: str, *, config: Path) -> None:
    """Check that nothing in the project has changed since its commit, but for the settings of `name`.

    Raises:
        OperationError: something has, or `config` is in no git checkout.
    """
    settings = f"{config.name}/{name}.toml"
    left = f"{config.name}/.*.toml.new"  # by a pin that was interrupted while it was written
    others = [".", f":(exclude){settings}", f":(exclude){left}"]
    changes = git(config.parent, "status", "--porcelain", "--", *others).splitlines()
    if changes:
        told = ", ".join(" ".join(change.split()) for change in changes[:_SHOWN])
        more = f" and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
        raise OperationError(
            f"A rollback would deploy what is not committed as well: {told}{more}. Commit it, put it aside "
            f"(git stash --include-untracked -- ':!{settings}'), or roll back from a fresh clone"
        )
