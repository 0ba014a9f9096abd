"""How long `make demo` takes: warm (everything cached, local cloud down), and cold with --cold.

    .venv/bin/python benchmarks/demo.py --runs 3
    .venv/bin/python benchmarks/demo.py --cold

Cold is a fresh clone with empty package caches and no data, so it needs the network. Figures of one machine
at one load: the load average stands beside them.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PORT = "4599"


def timed(command: list[str], *, cwd: Path, environment: dict[str, str]) -> float:
    """Return the seconds that `command` took."""
    started = time.monotonic()
    subprocess.run(command, cwd=cwd, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started


def warm(runs: int) -> list[float]:
    """Return the seconds of each run in this checkout."""
    seconds = []
    with tempfile.TemporaryDirectory() as scratch:
        options = ["--directory", f"{scratch}/cloud"]
        recommender = str(Path(sys.executable).with_name("recommender"))
        for _ in range(runs):
            demo = [recommender, "demo", "--port", PORT, *options]
            seconds.append(timed(demo, cwd=ROOT, environment=dict(os.environ)))
            subprocess.run([recommender, "down", *options], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return seconds


def cold() -> float:
    """Return the seconds of `make demo` in a fresh clone with empty caches."""
    with tempfile.TemporaryDirectory() as scratch:
        clone = Path(scratch) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        caches = {
            "UV_CACHE_DIR": f"{scratch}/uv",
            "PIP_NO_CACHE_DIR": "1",
            "NPM_CONFIG_CACHE": f"{scratch}/npm",
            "LOCAL_CLOUD_PORT": PORT,
        }
        path = os.pathsep.join(
            folder
            for folder in os.environ["PATH"].split(os.pathsep)
            if Path(folder) != ROOT / ".venv" / "bin"
        )
        environment = {**os.environ, **caches, "PATH": path}
        environment.pop("VIRTUAL_ENV", None)
        try:
            return timed(["make", "demo"], cwd=clone, environment=environment)
        finally:
            subprocess.run(
                ["make", "down"], cwd=clone, env=environment, check=True, stdout=subprocess.DEVNULL
            )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3, help="how many warm runs")
    parser.add_argument("--cold", action="store_true", help="measure one cold run instead")
    arguments = parser.parse_args()
    print(f"load average before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    if arguments.cold:
        print(f"cold: {cold():.0f} s")
        return
    seconds = warm(arguments.runs)
    print(f"warm: median {statistics.median(seconds):.0f} s of {', '.join(f'{s:.0f}' for s in seconds)}")


if __name__ == "__main__":
    main()
