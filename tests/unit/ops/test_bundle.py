"""The bundles hold what their functions import, for Lambda's platform, and depend on the checkout alone."""

import ast
import hashlib
import importlib.metadata
import os
import re
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ops import bundle
from ops.errors import OperationError
from ops.paths import ROOT

pytestmark = pytest.mark.slow

RUNTIME = {"boto3", "botocore"}
"""What Lambda's own Python runtime brings."""


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    destination = tmp_path_factory.mktemp("build") / "functions"
    bundle.bundle_functions(destination)
    return destination


def tree_digest(folder: Path) -> str:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    content = hashlib.sha256()
    for file in files:
        content.update(str(file.relative_to(folder)).encode() + b"\0" + file.read_bytes())
    return content.hexdigest()


def imported_roots(package: Path) -> set[str]:
    roots = set()
    for file in package.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                roots |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                roots.add(node.module.split(".")[0])
    return roots


@pytest.mark.parametrize("function", bundle.SHARED_PACKAGES)
def test_a_bundle_holds_all_that_its_function_imports(bundles: Path, function: str) -> None:
    folder = bundles / function
    present = {entry.name.removesuffix(".py") for entry in folder.iterdir()}
    needed = imported_roots(folder / function)
    # Stubs for type checkers are imported under TYPE_CHECKING only.
    needed = {root for root in needed if not root.startswith("mypy_boto3")}
    assert needed - present - RUNTIME - set(sys.stdlib_module_names) == set()


@pytest.mark.parametrize("function", bundle.SHARED_PACKAGES)
def test_compiled_code_is_for_lambda(bundles: Path, function: str) -> None:
    compiled = list((bundles / function).rglob("*.so"))
    assert compiled, "pydantic's core is compiled"
    for library in compiled:
        header = library.read_bytes()[:20]
        assert header[:4] == b"\x7fELF"
        assert int.from_bytes(header[18:20], "little") == 183, f"{library.name} is not for aarch64"
    assert any("cpython-313" in library.name for library in compiled)


def test_a_bundle_has_the_locked_versions(bundles: Path) -> None:
    for distribution in importlib.metadata.distributions(path=[str(bundles / "prepare_data")]):
        assert distribution.version == importlib.metadata.version(distribution.name)


def test_two_builds_are_identical(bundles: Path, tmp_path: Path) -> None:
    bundle.bundle_functions(tmp_path / "functions")
    for function in bundle.SHARED_PACKAGES:
        assert tree_digest(tmp_path / "functions" / function) == tree_digest(bundles / function)


def test_everybody_may_read_a_bundle_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        folders = bundle.bundle_functions(tmp_path / "functions")
    finally:
        os.umask(before)
    for folder in folders:
        for entry in (folder, *folder.rglob("*")):
            assert entry.stat().st_mode & 0o777 == (0o755 if entry.is_dir() else 0o644), entry


def test_nothing_of_the_installer_is_left(bundles: Path) -> None:
    leftovers = [file for name in ("RECORD", "INSTALLER", "__pycache__") for file in bundles.rglob(name)]
    assert leftovers == []


def test_a_current_bundle_stays_and_changed_code_is_bundled_again(
    bundles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    for name in ("pyproject.toml", "uv.lock", "README.md"):
        (project / name).write_bytes((ROOT / name).read_bytes())
    for package in ("lambda/first_model",):
        (project / package).mkdir(parents=True)
        (project / package / "handler.py").write_text("first = 1\n")
    monkeypatch.setattr(bundle, "ROOT", project)
    monkeypatch.setattr(bundle, "SHARED_PACKAGES", {"first_model": ()})
    destination = tmp_path / "build" / "functions"

    (folder,) = bundle.bundle_functions(destination)
    untouched = folder.stat().st_ino
    bundle.bundle_functions(destination)
    assert folder.stat().st_ino == untouched

    (project / "lambda/first_model/handler.py").write_text("second = 2\n")
    bundle.bundle_functions(destination)
    assert (folder / "first_model/handler.py").read_text() == "second = 2\n"


def test_an_installation_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "PLATFORM", "no-such-platform")
    with pytest.raises(OperationError, match="no-such-platform"):
        bundle.bundle_functions(tmp_path / "functions")
    assert not (tmp_path / "functions" / "prepare_data").exists()


def test_the_image_is_built_from_the_package_and_its_locked_packages(tmp_path: Path) -> None:
    first, second = (bundle.lay_out_image(tmp_path / name) for name in ("one", "two"))
    files = {path.relative_to(first): path.read_bytes() for path in first.rglob("*") if path.is_file()}
    assert files == {
        path.relative_to(second): path.read_bytes() for path in second.rglob("*") if path.is_file()
    }
    assert Path("data_prep/__main__.py") in files
    requirements = files[Path("requirements.txt")].decode()
    for package in ("boto3", "numpy", "pydantic", "typer"):
        assert re.search(rf"^{package}==.* \\$", requirements, re.MULTILINE), package
    assert "--hash=sha256:" in requirements
    lines = files[Path("Dockerfile")].decode().splitlines()
    assert f"FROM python:{bundle.PYTHON_VERSION}-slim" in lines
    assert 'ENTRYPOINT ["python", "-m", "data_prep"]' in lines


def test_syntheses_at_once_wait_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running, most = [], 0
    digest = bundle._digest

    def watched(requirements: str, packages: Iterable[Path]) -> str:
        nonlocal most
        running.append(1)
        most = max(most, len(running))
        time.sleep(0.02)
        running.pop()
        return digest(requirements, packages)

    monkeypatch.setattr(bundle, "SHARED_PACKAGES", {"first_model": ()})
    monkeypatch.setattr(bundle, "_digest", watched)
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: bundle.bundle_functions(tmp_path / "functions"), range(8)))
    assert made == [[tmp_path / "functions" / "first_model"]] * 8
    assert most == 1


def test_a_current_image_folder_stays(tmp_path: Path) -> None:
    untouched = bundle.lay_out_image(tmp_path).stat().st_ino
    assert bundle.lay_out_image(tmp_path).stat().st_ino == untouched
