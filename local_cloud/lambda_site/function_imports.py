"""Imports of a Python function as on Lambda, in a worker process of the local cloud.

The local cloud runs functions with the local interpreter, but their bundles hold wheels for Lambda's
platform. `install` makes sure that

* a bundled package whose compiled extensions this interpreter cannot load comes from the local environment
  instead, in the same version;
* everything else that is bundled comes from the bundle;
* whatever is neither bundled, nor in the standard library, nor in Lambda's Python runtime cannot be imported,
  so that a dependency missing from a bundle is found here and not on AWS.

Lambda's runtime brings the AWS SDK
(https://docs.aws.amazon.com/lambda/latest/dg/python-package.html#python-package-dependencies).
"""

import importlib.metadata
import os
import re
import sys
import sysconfig
from collections.abc import Sequence
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

RUNTIME_PACKAGES = frozenset(
    {
        "boto3",
        "botocore",
        "s3transfer",
        "jmespath",
        "dateutil",
        "six",
        "urllib3",
        "awslambdaric",
        "simplejson",
    }
    | {"snapshot_restore_py"}
)

_ABI_TAG = re.compile(r"(\.cpython-[^.]+)\.so$")


class BundleFinder:
    """Finds top-level modules where Lambda would, with local stand-ins for compiled ones.

    Args:
        roots: the function's code folder and the folders of its layers.
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = roots
        self._local = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where to import `name` from; None leaves it to the finders that follow.

        Raises:
            ModuleNotFoundError: Lambda would not find it.
            ImportError: it is compiled for Lambda and the local environment has no equal.
        """
        if path is not None or name in sys.stdlib_module_names or name in sys.builtin_module_names:
            return None
        for root in self._roots:
            if (root / name).is_dir() or (root / f"{name}.py").is_file() or any(root.glob(f"{name}.*.so")):
                extensions = [
                    *(root / name).rglob("*.so"),
                    *root.glob(f"{name}.*.so"),
                    *root.glob(f"{name}.so"),
                ]
                if all(map(_loadable, extensions)):
                    return PathFinder.find_spec(name, [str(root)], target)
                return self._stand_in(name, root)
        if name in RUNTIME_PACKAGES:
            return PathFinder.find_spec(name, self._local, target)
        raise ModuleNotFoundError(
            f"No module named {name!r} (neither in the function's bundle nor in Lambda's Python runtime)",
            name=name,
        )

    def _stand_in(self, name: str, root: Path) -> ModuleSpec:
        spec = PathFinder.find_spec(name, self._local)
        distribution = _distribution_of(name)
        if spec is None or distribution is None:
            raise ImportError(
                f"{name} is compiled for Lambda's platform and the local environment has none in its place",
                name=name,
            )
        bundled = _version(distribution, [str(root)])
        local = _version(distribution, self._local)
        if bundled is None or bundled != local:
            raise ImportError(
                f"The bundle carries {distribution} {bundled or 'without its metadata'}, compiled for "
                f"Lambda's platform; the local environment has {local}: both must come from one uv.lock",
                name=name,
            )
        return spec


def _distribution_of(module: str) -> str | None:
    try:
        return importlib.metadata.distribution(module).name
    except importlib.metadata.PackageNotFoundError:
        names = importlib.metadata.packages_distributions().get(module)
        return names[0] if names else None


def _version(distribution: str, path: list[str]) -> str | None:
    found = importlib.metadata.distributions(name=distribution, path=path)
    return next((each.version for each in found), None)


def _loadable(extension: Path) -> bool:
    """Tell whether this interpreter can load a shared object: same ABI tag, same machine."""
    tag = _ABI_TAG.search(extension.name)
    if tag is not None and f"{tag[1]}.so" not in EXTENSION_SUFFIXES:
        return False
    return _machine(extension) is not None and _machine(extension) == _machine(Path(sys.executable).resolve())


def _machine(file: Path) -> bytes | None:
    """Return word size and machine of an ELF file, or None when it is not one."""
    with file.open("rb") as content:
        header = content.read(20)
    return header[4:5] + header[18:20] if header.startswith(b"\x7fELF") else None


def install() -> None:
    """Make the present process, which has Lambda's environment variables, import like the function."""
    roots = [Path(os.environ["LAMBDA_TASK_ROOT"])]
    for layer in filter(None, os.environ.get("_LAMBDA_LAYERS_DIRS", "").split(os.pathsep)):
        python = Path(layer) / "python"
        roots += [python, *python.glob("lib/*/site-packages"), Path(layer)]
    sys.meta_path.insert(0, BundleFinder(roots))
