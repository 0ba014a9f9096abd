"""Synthesize the working tree and what it is compared with, for every environment, without the network."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.errors import OperationError
from ops.review.assembly import read_assembly
from ops.review.checkout import Checkout
from ops.review.model import Assembly
from ops.review.network import isolation, offline, without_credentials
from ops.stages import stage

_CONTEXT = {
    "aws:cdk:enable-path-metadata": True,
    "aws:cdk:enable-asset-metadata": True,
    "aws:cdk:disable-metadata-stack-trace": True,
}
"""What the CDK's command line adds to the context of cdk.json."""

_WORKERS = max(2, os.cpu_count() or 1)
_LONGEST_REASON = 600


@dataclass(frozen=True)
class SynthesizedEnvironment:
    """One environment of both trees."""

    name: str
    before: Assembly | None
    """None if the environment did not exist or does not synthesize there."""
    after: Assembly
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Synthesis:
    """All environments of both trees."""

    base: str
    head: str
    environments: tuple[SynthesizedEnvironment, ...]
    notes: tuple[str, ...]


class _SynthesisError(Exception):
    """A tree that does not synthesize: the message says why, in one line."""


@contextmanager
def synthesized(
    trees: Checkout,
    *,
    base: str | None,
    environments: Sequence[str],
    progress: Callable[[str], None],
) -> Iterator[Synthesis]:
    """Synthesize `base` and the working tree; the assemblies' files are there as long as the block runs.

    Args:
        trees: the checkout of a CDK app.
        base: a commit to compare with; None for the one that the working tree differs from.
        environments: names of the environments, or none for all of them.
        progress: told what goes on.

    Raises:
        OperationError: unknown commit or environment, or the working tree does not synthesize.
    """
    reference = base or trees.default_base()
    label = trees.described(reference)
    names = chosen_environments(trees.root, environments)
    with tempfile.TemporaryDirectory(prefix="review-") as scratch:
        folder = Path(scratch)
        progress(f"checking out {label}")
        with trees.worktree(reference, folder / "base") as old:
            yield _synthesize_all(_Trees(old, trees.root, label, trees.head), names, folder, progress)


def chosen_environments(root: Path, wanted: Sequence[str]) -> list[str]:
    """Return the names of the environments to review: those of config/, or the one of an app without it.

    Raises:
        OperationError: one of `wanted` does not exist.
    """
    known = sorted((file.stem for file in (root / "config").glob("*.toml")), key=stage)
    for name in wanted:
        if name not in known:
            there = f"there are {', '.join(known)}" if known else "config/ has no environments"
            raise OperationError(f"--env {name}: there is no config/{name}.toml; {there}")
    return [name for name in known if not wanted or name in wanted] or [""]


@dataclass(frozen=True)
class _Trees:
    old: Path
    new: Path
    base: str
    head: str


def _synthesize_all(
    trees: _Trees, names: Sequence[str], folder: Path, progress: Callable[[str], None]
) -> Synthesis:
    notes = [isolation(), *_packages(trees)]
    with ThreadPoolExecutor(_WORKERS) as pool:
        progress("packaging the functions")
        builds = {tree: pool.submit(_build, tree) for tree in (trees.new, trees.old)}
        for tree, build in builds.items():
            problem = build.result()
            if problem:
                which = "the working tree" if tree == trees.new else trees.base
                notes.append(
                    f"Packaging the functions of {which} failed, "
                    f"so a change of their code may not show: {problem}"
                )
        progress(f"synthesizing {', '.join(filter(None, names)) or 'the app'}")
        after = {name: pool.submit(_synthesize, trees.new, name, folder / f"after-{name}") for name in names}
        before = {name: pool.submit(_before, trees.old, name, folder / f"before-{name}") for name in names}
        reviewed = tuple(_environment(name, before[name], after[name], trees) for name in names)
    return Synthesis(base=trees.base, head=trees.head, environments=reviewed, notes=tuple(notes))


def _packages(trees: _Trees) -> list[str]:
    """Both trees run with the packages that are installed: say so where the other tree locks others."""
    locked = [tree / "uv.lock" for tree in (trees.old, trees.new)]
    if all(file.is_file() for file in locked) and locked[0].read_bytes() != locked[1].read_bytes():
        return [f"{trees.base} locks other packages: it is synthesized with the working tree's."]
    return []


def _environment(
    name: str, before: "Future[Assembly | None]", after: "Future[Assembly]", trees: _Trees
) -> SynthesizedEnvironment:
    what = name or "the app"
    try:
        new = after.result()
    except _SynthesisError as error:
        raise OperationError(f"{what} does not synthesize: {error}") from error
    try:
        old = before.result()
    except _SynthesisError as error:
        note = f"{what} does not synthesize in {trees.base}, so the working tree is reviewed alone: {error}"
        return SynthesizedEnvironment(name=what, before=None, after=new, notes=(note,))
    notes = () if old is not None else (f"{what} does not exist in {trees.base}: it is reviewed alone.",)
    return SynthesizedEnvironment(name=what, before=old, after=new, notes=notes)


def _before(tree: Path, name: str, output: Path) -> Assembly | None:
    if name and (tree / "config").is_dir() and not (tree / "config" / f"{name}.toml").is_file():
        return None
    return _synthesize(tree, name, output)


def _build(tree: Path) -> str:
    """Run what cdk.json says must run before synthesis; return what went wrong, if anything did.

    This may need the network, for packages that the tree locks and this machine does not have yet.
    """
    try:
        command = _cdk_json(tree).get("build")
        if command:
            _run(["/bin/sh", "-c", str(command)], tree, without_credentials(_path()))
    except _SynthesisError as error:
        return str(error)
    return ""


def _synthesize(tree: Path, name: str, output: Path) -> Assembly:
    """Run the app of `tree` as the CDK's command line does.

    The interface: https://github.com/aws/aws-cdk-cli/blob/main/packages/%40aws-cdk/toolkit-lib/lib/api/cloud-assembly/private/exec.ts
    """
    settings = _cdk_json(tree)
    command = settings.get("app")
    if not command:
        raise _SynthesisError('cdk.json has no "app"')
    context = {**settings.get("context", {}), **_context_file(tree), **_CONTEXT}
    if name:
        context["env"] = name
    variables = {"CDK_OUTDIR": str(output), "CDK_CONTEXT_JSON": json.dumps(context)}
    variables |= _path() | _bytecode(output.parent)
    arguments, environment = offline(str(command), variables, output.parent)
    _run(arguments, tree, environment)
    try:
        return read_assembly(output)
    except OperationError as error:
        raise _SynthesisError(str(error)) from error


def _cdk_json(tree: Path) -> Mapping[str, Any]:
    if not (tree / "cdk.json").is_file():
        raise _SynthesisError("there is no cdk.json, so this is not the root of a CDK app")
    return _json(tree / "cdk.json")


def _context_file(tree: Path) -> Mapping[str, Any]:
    """What the CDK looked up earlier and keeps under version control."""
    file = tree / "cdk.context.json"
    return _json(file) if file.is_file() else {}


def _json(file: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _SynthesisError(f"{file.name}: {error}") from error
    if not isinstance(content, dict):
        raise _SynthesisError(f"{file.name} is not a JSON object")
    return content


def _path() -> dict[str, str]:
    """A tree without an environment of its own runs with the packages that this command runs with."""
    return {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])}


def _bytecode(scratch: Path) -> dict[str, str]:
    """Where nothing may be written beside the packages, let all runs share what the first compiles."""
    if not sys.dont_write_bytecode:
        return {}
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(scratch / "bytecode")}


def _run(arguments: Sequence[str], tree: Path, environment: Mapping[str, str]) -> None:
    finished = subprocess.run(  # noqa: S603
        arguments,
        cwd=tree,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if finished.returncode != 0:
        raise _SynthesisError(
            _reason(finished.stdout) or f"`{arguments[-1]}` ended with code {finished.returncode}"
        )


def _reason(output: str) -> str:
    """The part of a failed command's output that says why, in one line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if any(line.startswith("Traceback (most recent call last)") for line in lines):
        lines = lines[-1:]
    text = "; ".join(lines)
    return text if len(text) <= _LONGEST_REASON else f"…{text[-_LONGEST_REASON:]}"
