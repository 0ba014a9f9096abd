"""Where things are in a checkout."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / "config"
DATA = ROOT / ".data"
BUILD = ROOT / "build"
FUNCTIONS = BUILD / "functions"
IMAGES = BUILD / "images"
COMPILED = BUILD / "numba"
LOCAL_CLOUD = ROOT / ".local"
"""Everything of the local cloud: process record, logs, jobs. `recommender down` removes it."""
