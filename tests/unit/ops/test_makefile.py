"""What `make` says to a machine that is not ready, on a copy of what it needs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ops.paths import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("make") is None, reason="there is no make on this machine"),
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "uv.lock", "package-lock.json"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def make(project: Path, *arguments: str, **variables: str) -> tuple[int, list[str]]:
    """Return the exit status and what was said on standard error, but for make's own line."""
    finished = subprocess.run(
        ["make", *arguments],
        cwd=project,
        env={"PATH": os.environ["PATH"], "HOME": str(project)} | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in finished.stderr.splitlines() if not line.startswith("make")]
    return finished.returncode, [line for line in said if not line.startswith("Creating")]


def test_too_old_a_python_is_told_in_one_line(project: Path) -> None:
    old = project / "old-python"
    code = (
        "import sys, collections; V = collections.namedtuple('V', 'major minor micro'); "
        "sys.version_info = V(3, 9, 0); exec(sys.argv[1])"
    )
    old.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}" "$2"\n')
    old.chmod(0o755)
    status, said = make(project, "demo", f"PYTHON={old}")
    assert status != 0
    assert len(said) == 1
    assert "Python 3.11 or newer is needed, this is 3.9" in said[0]
    assert not (project / ".venv").exists()


def test_no_network_is_told_in_one_line(project: Path) -> None:
    unreachable = {
        "PIP_INDEX_URL": "http://127.0.0.1:1/",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_CONFIG_FILE": os.devnull,
    }
    status, said = make(project, "demo", f"PYTHON={sys.executable}", **unreachable)
    assert status != 0
    assert len(said) == 1
    assert said[0].startswith("Installing from PyPI failed (why: .venv/install.log): is there a network")
    assert "uv" in (project / ".venv" / "install.log").read_text()
