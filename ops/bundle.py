"""Lay out what each Lambda function carries: its own package, the shared packages it uses, its locked wheels.

Runs before synthesis (`build` in cdk.json), so that synthesis itself needs no network: `infra` only names
the folders that this module makes. Wheels are resolved from uv.lock for Lambda's platform, with their hashes
checked; no Docker is involved. boto3 is left out because Lambda's Python runtime brings it.

A bundle depends on nothing but the checkout: the same commit gives the same files.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ops.errors import OperationError
from ops.paths import FUNCTIONS, IMAGES, ROOT

PYTHON_VERSION = "3.13"
"""The functions' runtime, as in infra/function.py."""
PLATFORM = "aarch64-manylinux_2_28"
"""Lambda's arm64 on Amazon Linux 2023 (glibc 2.34)."""

SHARED_PACKAGES: Mapping[str, tuple[str, ...]] = {
    "prepare_data": ("data_prep",),
    "evaluate_model": ("data_prep", "evaluation"),
    "recommend": ("data_prep", "evaluation"),
    "first_model": (),
    "release_model": (),
    "verify_model": ("evaluation",),
}
"""Function (a folder of lambda/) to the top-level packages that it imports. Its wheels are those of the
dependency group of the same name in pyproject.toml."""

_INSTALLER_LEFTOVERS = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json")


def bundle_functions(destination: Path = FUNCTIONS) -> list[Path]:
    """Make every function's bundle in `destination` and return their folders; those that are current stay.

    Raises:
        OperationError: the wheels could not be installed.
    """
    with _alone_in(destination):
        return [_bundle(function, destination) for function in SHARED_PACKAGES]


def lay_out_image(destination: Path = IMAGES) -> Path:
    """Make the folder that the image of data preparation is built from, and return it; a current one stays.

    Whoever builds it installs the same locked packages, with their hashes checked, as the function carries.

    Raises:
        OperationError: the packages could not be read from uv.lock.
    """
    package = ROOT / "data_prep"
    requirements = _locked_requirements("prepare_data_image")

    def lay_out(layout: Path) -> None:
        ignored = shutil.ignore_patterns("__pycache__", "Dockerfile")
        shutil.copytree(package, layout / package.name, ignore=ignored)
        shutil.copy(package / "Dockerfile", layout)
        (layout / "requirements.txt").write_text(requirements)

    with _alone_in(destination):
        return _current(destination / "prepare_data", _digest(requirements, [package]), lay_out)


def _bundle(function: str, destination: Path) -> Path:
    packages = [ROOT / "lambda" / function, *(ROOT / package for package in SHARED_PACKAGES[function])]
    requirements = _locked_requirements(function)

    def lay_out(layout: Path) -> None:
        wheels = _installed_wheels(requirements, destination.parent / "wheels")
        shutil.copytree(wheels, layout, dirs_exist_ok=True)
        for package in packages:
            shutil.copytree(package, layout / package.name, ignore=shutil.ignore_patterns("__pycache__"))

    return _current(destination / function, _digest(requirements, packages), lay_out)


def _current(target: Path, digest: str, lay_out: Callable[[Path], None]) -> Path:
    """Let `lay_out` make the folder `target`, unless it has been made for the same `digest`."""
    stamp = target.with_name(f".{target.name}.sha256")
    if target.is_dir() and stamp.is_file() and stamp.read_text() == digest:
        return target
    stamp.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        layout = Path(scratch) / target.name
        layout.mkdir()
        lay_out(layout)
        _make_readable(layout)
        shutil.rmtree(target, ignore_errors=True)
        layout.rename(target)
    stamp.write_text(digest)
    return target


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Let one process at a time make what is in `folder`: two syntheses may run at once."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _locked_requirements(function: str) -> str:
    """Return the function's dependency group as hashed requirements, from uv.lock alone."""
    return _uv(
        *("export", "--quiet", "--frozen", "--only-group", function.replace("_", "-")),
        *("--no-emit-project", "--no-header", "--no-annotate"),
    )


def _installed_wheels(requirements: str, cache: Path) -> Path:
    """Return a folder with `requirements` installed for Lambda, kept: new code needs no network."""
    key = f"{PYTHON_VERSION}\n{PLATFORM}\n{requirements}".encode()
    target = cache / hashlib.sha256(key).hexdigest()[:16]
    if target.is_dir():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        listing = Path(scratch) / "requirements.txt"
        listing.write_text(requirements)
        layout = Path(scratch) / "wheels"
        _uv(
            *("pip", "install", "--quiet", "--target", str(layout), "--requirement", str(listing)),
            *("--python-platform", PLATFORM, "--python-version", PYTHON_VERSION),
            *("--only-binary", ":all:", "--require-hashes", "--no-deps", "--no-compile-bytecode"),
        )
        _prune(layout)
        layout.rename(target)
    return target


def _prune(layout: Path) -> None:
    """Remove what no function runs, and what differs from one installation to the next."""
    shutil.rmtree(layout / "bin", ignore_errors=True)
    for tests in [folder for folder in layout.glob("numpy/**/tests") if folder.is_dir()]:
        shutil.rmtree(tests, ignore_errors=True)
    for name in _INSTALLER_LEFTOVERS:
        for leftover in layout.glob(f"*.dist-info/{name}"):
            leftover.unlink()
    (layout / ".lock").unlink(missing_ok=True)


def _make_readable(layout: Path) -> None:
    """Let everybody read the files: the CDK keeps their modes, and Lambda runs them as another user."""
    layout.chmod(0o755)
    for entry in layout.rglob("*"):
        entry.chmod(0o755 if entry.is_dir() else 0o644)


def _digest(requirements: str, packages: Iterable[Path]) -> str:
    content = hashlib.sha256(requirements.encode())
    content.update(Path(__file__).read_bytes())
    for package in packages:
        for file in sorted(package.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                content.update(f"{file.relative_to(ROOT)}\0".encode())
                content.update(file.read_bytes())
    return content.hexdigest()


def _uv(*arguments: str) -> str:
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        raise OperationError(
            "uv is missing from the environment: run `make demo` or `make check` once to create it"
        )
    finished = subprocess.run([uv, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    if finished.returncode != 0:
        reason = finished.stderr.strip() or f"exit code {finished.returncode}"
        raise OperationError(f"Packaging the Lambda functions failed: `uv {arguments[0]}` said: {reason}")
    return finished.stdout


if __name__ == "__main__":
    try:
        bundle_functions()
        lay_out_image()
    except OperationError as error:
        sys.exit(str(error))
