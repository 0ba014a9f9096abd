"""A made-up bundle, imported in a process of its own as the local cloud's workers do."""

import os
import shutil
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

import pytest

SITE = Path(__file__).resolve().parents[3] / "local_cloud" / "lambda_site"
ELF_OF_ANOTHER_MACHINE = b"\x7fELF\x02\x01\x01" + bytes(11) + b"\xf3\x00"
LOCAL_EXTENSION = Path(sysconfig.get_path("platlib")) / "pydantic_core"


def run(bundle: Path, code: str, **environment: str) -> str:
    """Run `code` in a worker whose function's folder is `bundle`; return the last line that it printed."""
    prelude = (
        f"import sys; sys.path.insert(0, {str(SITE)!r}); import function_imports; del sys.path[0]\n"
        f"function_imports.install(); sys.path.insert(0, {str(bundle)!r})\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", prelude + code],
        env=os.environ | {"LAMBDA_TASK_ROOT": str(bundle)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return (finished.stdout + finished.stderr).strip().splitlines()[-1]


def write(bundle: Path, name: str, content: str | bytes = "") -> None:
    file = bundle / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())


def origin(bundle: Path, module: str, **environment: str) -> str:
    return run(bundle, f"import {module}; print({module}.__file__)", **environment)


def test_bundled_modules_come_from_the_bundle(tmp_path: Path) -> None:
    write(tmp_path, "typing_extensions.py", "")
    write(tmp_path, "rich/__init__.py", "")
    assert origin(tmp_path, "typing_extensions") == str(tmp_path / "typing_extensions.py")
    assert origin(tmp_path, "rich") == str(tmp_path / "rich" / "__init__.py")


def test_layers_are_searched_too(tmp_path: Path) -> None:
    layer = tmp_path / "layer"
    write(layer, "python/rich/__init__.py", "")
    answer = origin(tmp_path / "code", "rich", _LAMBDA_LAYERS_DIRS=str(layer))
    assert answer == str(layer / "python" / "rich" / "__init__.py")


def test_standard_library_and_the_runtimes_sdk_are_there(tmp_path: Path) -> None:
    assert run(tmp_path, "import json, zipfile, boto3, botocore.session; print('ok')") == "ok"


@pytest.mark.parametrize("module", ["rich", "data_prep", "numpy", "pydantic"])
def test_what_lambda_lacks_cannot_be_imported(tmp_path: Path, module: str) -> None:
    assert origin(tmp_path, module) == (
        f"ModuleNotFoundError: No module named '{module}' "
        "(neither in the function's bundle nor in Lambda's Python runtime)"
    )


def test_optional_import_is_refused_politely(tmp_path: Path) -> None:
    code = "try:\n    import rich\nexcept ImportError as error:\n    print(error.name)"
    assert run(tmp_path, code) == "rich"


def bundle_of(
    tmp_path: Path, version: str | None, extension: str = "_x.cpython-399-riscv64-linux-gnu.so"
) -> Path:
    write(tmp_path, "pydantic_core/__init__.py", "")
    write(tmp_path, f"pydantic_core/{extension}", ELF_OF_ANOTHER_MACHINE)
    write(tmp_path, "typing_extensions.py", "def __getattr__(name): return object")
    if version is not None:
        write(
            tmp_path,
            f"pydantic_core-{version}.dist-info/METADATA",
            f"Name: pydantic_core\nVersion: {version}\n",
        )
    return tmp_path


@pytest.mark.parametrize("extension", ["_x.cpython-399-riscv64-linux-gnu.so", "_x.abi3.so", "libx.so"])
def test_package_compiled_for_another_platform_has_a_local_stand_in(tmp_path: Path, extension: str) -> None:
    bundle = bundle_of(tmp_path, metadata.version("pydantic_core"), extension)
    code = "import importlib.util as u; print(u.find_spec('pydantic_core').origin)"
    assert run(bundle, code) == str(LOCAL_EXTENSION / "__init__.py")


def test_stand_in_must_be_of_the_same_version(tmp_path: Path) -> None:
    local = metadata.version("pydantic_core")
    assert origin(bundle_of(tmp_path, "1.2.3"), "pydantic_core") == (
        "ImportError: The bundle carries pydantic_core 1.2.3, compiled for Lambda's platform; the local "
        f"environment has {local}: both must come from one uv.lock"
    )


def test_stand_in_needs_metadata(tmp_path: Path) -> None:
    assert "carries pydantic_core without its metadata" in origin(bundle_of(tmp_path, None), "pydantic_core")


def test_stand_in_must_exist(tmp_path: Path) -> None:
    write(tmp_path, "nowhere_else.cpython-399-riscv64-linux-gnu.so", ELF_OF_ANOTHER_MACHINE)
    assert origin(tmp_path, "nowhere_else") == (
        "ImportError: nowhere_else is compiled for Lambda's platform and the local environment has none in "
        "its place"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="the bundle's extensions are Linux's")
def test_package_that_this_interpreter_can_load_stays_the_bundles(tmp_path: Path) -> None:
    shutil.copytree(LOCAL_EXTENSION, tmp_path / "pydantic_core")
    write(tmp_path, "typing_extensions.py", "def __getattr__(name): return object")
    code = "import importlib.util as u; print(u.find_spec('pydantic_core').origin)"
    assert run(tmp_path, code) == str(tmp_path / "pydantic_core" / "__init__.py")
