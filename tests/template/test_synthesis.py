"""Synthesis as a process: the same bytes each time, without network or AWS; errors in one line."""

import json
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.template.assembly import ROOT, VARIANTS, Assembly, feature_flags


def _environment(**changes: str) -> dict[str, str]:
    """The process's environment without anything of AWS's."""
    foreign = ("AWS_", "CDK_", "PYTEST_")
    return {key: value for key, value in os.environ.items() if not key.startswith(foreign)} | changes


def _files(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def _offline() -> list[str]:
    """What runs a command in a network namespace with nothing in it, where the system lets us have one."""
    command = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") and subprocess.run([*command, "true"], check=False).returncode == 0:
        return command
    warnings.warn("no network namespaces here: the syntheses are compared with the network on", stacklevel=2)
    return []


def test_two_syntheses_are_byte_identical_offline(project: Path, tmp_path: Path) -> None:
    offline = _offline()
    for number, home in (("1", "/nonexistent"), ("2", str(tmp_path))):
        # What must not matter differs: hash seed, time zone, home, folder of the output.
        subprocess.run(
            [*offline, sys.executable, "tests/template/synthesize.py", project, tmp_path / number],
            cwd=ROOT,
            env=_environment(PYTHONPATH=str(ROOT), PYTHONHASHSEED=number, TZ=f"UTC+{number}", HOME=home),
            check=True,
        )

    first, second = _files(tmp_path / "1"), _files(tmp_path / "2")
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
    assert sum(name.endswith(".template.json") for name in first) == 3


def _app(environment: str, folder: Path) -> subprocess.CompletedProcess[str]:
    context = json.dumps(feature_flags() | {"env": environment})
    return subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env=_environment(CDK_CONTEXT_JSON=context, CDK_OUTDIR=str(folder)),
        capture_output=True,
        text=True,
        check=False,
    )


def test_app_tells_a_wrong_environment_in_one_line(tmp_path: Path) -> None:
    run = _app("stagin", tmp_path)

    assert run.returncode == 1
    assert run.stderr == (
        'Environment "stagin" is unknown; did you mean "staging"?; config/ has: dev, prod, staging\n'
    )


def test_app_synthesizes_the_environment_that_the_context_names(tmp_path: Path) -> None:
    run = _app("prod", tmp_path)

    assert (run.returncode, run.stderr) == (0, "")
    templates = [path.name for path in tmp_path.glob("*.template.json")]
    assert templates == ["movie-recommender-prod-storage.template.json"]


def test_cdk_command_prints_a_template_and_nothing_else(tmp_path: Path) -> None:
    """`cdk synth <stack> > template.json`: what the build before it prints must not get into the template."""
    cdk = ROOT / "node_modules" / ".bin" / "cdk"
    if not cdk.exists():
        pytest.skip("the CDK command line is not installed: `npm ci`")
    build = json.loads((ROOT / "cdk.json").read_text())["build"]
    assert "-m ops.bundle" in build
    run = subprocess.run(
        [
            *(cdk, "synth", "movie-recommender-staging-storage", "--json", "--context", "env=staging"),
            *("--build", build.replace("-m ops.bundle", "-c 'print(1)'"), "--output", tmp_path),
        ],
        cwd=ROOT,
        env=_environment(PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"),
        capture_output=True,
        text=True,
        check=True,
    )

    assert json.loads(run.stdout)["Description"].startswith("Movie recommender:")


def test_templates_pass_cfn_lint(assemblies: Callable[[str], Assembly]) -> None:
    by_region: dict[str, list[Path]] = {}
    for assembly in map(assemblies, VARIANTS):
        templates = assembly.folder.glob("*.template.json")
        by_region.setdefault(assembly.settings.region, []).extend(templates)
    for region, templates in by_region.items():
        # W3005: CDK makes what uses a role depend on the role beside its policy; harmless, and not ours.
        run = subprocess.run(
            [
                *(Path(sys.executable).parent / "cfn-lint", "--format", "parseable"),
                *("--ignore-checks", "W3005", "--regions", region, "--", *templates),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (run.stdout, run.returncode) == ("", 0)
