"""Synthesizes dev from a project folder into an output folder: a test runs it in a process of its own."""

import sys
from pathlib import Path

# As a script's own folder is on its path; `tests` as a package is pytest's doing.
from assembly import define

from infra.environment import load_environment

if __name__ == "__main__":
    define(load_environment("dev"), project=Path(sys.argv[1]), folder=Path(sys.argv[2])).synth()
