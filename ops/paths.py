"""Where things are in a checkout."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / "config"
DATA = ROOT / ".data"
FUNCTIONS = ROOT / "build" / "functions"
LOCAL_CLOUD = ROOT / ".local"
"""State of the local cloud: process record, log, jobs. `recommender down` removes it."""
