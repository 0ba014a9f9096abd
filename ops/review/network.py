"""Run a command that cannot reach the network."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_NAMESPACE = ("unshare", "--map-root-user", "--net")
_REFUSING_PROXY = "http://127.0.0.1:9"
"""Nothing listens on the discard port."""

_SITE = '''"""Refuse every connection but those to local sockets."""

import socket


def _refuse(self, address, *_):
    raise OSError(f"the review has no network: {address} is out of reach")


class _Socket(socket.socket):
    def connect(self, address):
        local = self.family == getattr(socket, "AF_UNIX", None)
        return super().connect(address) if local else _refuse(self, address)

    def connect_ex(self, address):
        return self.connect(address)


socket.socket = _Socket
'''


@cache
def has_namespaces() -> bool:
    """Tell whether the system lets this user run a command without any network interface."""
    if shutil.which(_NAMESPACE[0]) is None:
        return False
    return subprocess.run([*_NAMESPACE, "true"], capture_output=True, check=False).returncode == 0  # noqa: S603


def isolation() -> str:
    """Return how the network is kept out, as a sentence for the report."""
    if has_namespaces():
        return "Synthesized without a network interface."
    return (
        "Synthesized with Python's sockets blocked and proxies that refuse: this system cannot run a command "
        "without a network interface (`unshare --net`)."
    )


def without_credentials(variables: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without the user's AWS settings, and with `variables`."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    return inherited | {"AWS_EC2_METADATA_DISABLED": "true"} | dict(variables)


def offline(command: str, variables: Mapping[str, str], scratch: Path) -> tuple[list[str], dict[str, str]]:
    """Return the arguments and environment that run the shell's `command` without network or credentials.

    Args:
        command: for the shell, as in cdk.json.
        variables: to set.
        scratch: a folder for what the isolation needs.
    """
    environment = without_credentials(variables)
    shell = ["/bin/sh", "-c", command]
    if has_namespaces():
        return [*_NAMESPACE, *shell], environment
    site = scratch / "no-network"
    site.mkdir(parents=True, exist_ok=True)
    (site / "sitecustomize.py").write_text(_SITE)
    paths = [str(site), *filter(None, [environment.get("PYTHONPATH")])]
    proxies = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
    environment |= dict.fromkeys(proxies, _REFUSING_PROXY)
    return shell, environment | {"PYTHONPATH": os.pathsep.join(paths), "NO_PROXY": "", "no_proxy": ""}
