"""Run the CDK command line from this checkout."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from ops.errors import OperationError
from ops.paths import ROOT

_KEPT_LINES = 25


def cdk(
    arguments: list[str],
    *,
    variables: Mapping[str, str],
    log: Path,
    progress: Callable[[str], None],
    cwd: Path = ROOT,
) -> None:
    """Run `cdk` with `arguments`; its output goes to `log` and, line by line, to `progress`.

    `variables` are added to an environment without the user's own AWS_* settings, so that a command for the
    local cloud cannot reach a real account.

    Raises:
        OperationError: it is not installed or it failed; the message ends with the last lines of its output.
    """
    command = ROOT / "node_modules" / ".bin" / "cdk"
    if not command.exists():
        raise OperationError("The CDK command line is not installed: run `npm ci` (the make targets do)")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    log.parent.mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    with (
        log.open("w") as record,
        subprocess.Popen(  # noqa: S603
            [str(command), *arguments],
            cwd=cwd,
            env=inherited | {"CI": "true", "NO_COLOR": "1"} | dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        for line in process.stdout or ():
            record.write(line)
            record.flush()
            if line.strip():
                lines.append(line.rstrip())
                progress(line.strip())
    if process.returncode != 0:
        width = shutil.get_terminal_size().columns
        tail = "\n".join(f"  {line[: width * 4]}" for line in lines[-_KEPT_LINES:])
        raise OperationError(f"`cdk {arguments[0]}` failed (all of its output: {log}):\n{tail}")
