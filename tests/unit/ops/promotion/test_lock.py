"""Whether the process that holds a lock has ended."""

import os
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ops.promotion import lock
from ops.promotion.lock import Holder

HERE = lock._machine()


@pytest.fixture(scope="module")
def ended_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def holder(pid: int, **changes: Any) -> Holder:
    known = {
        "owner": "alice",
        "host": socket.gethostname(),
        "machine": HERE,
        "purpose": "dev → staging",
        "since": datetime.now(UTC),
    }
    return Holder.model_validate(known | {"pid": pid} | changes)


@pytest.mark.skipif(HERE is None, reason="only Linux tells which machine it is")
def test_a_process_of_this_machine_has_ended_or_not(ended_pid: int) -> None:
    assert holder(ended_pid).ended
    assert not holder(os.getpid()).ended


def test_another_machine_of_the_same_name_is_not_asked_here(ended_pid: int) -> None:
    assert not holder(ended_pid, machine="another boot_id").ended
    assert not holder(ended_pid, machine=None).ended, "a lock of an earlier release"


def test_where_the_machine_is_not_known_nobody_is_taken_for_dead(
    ended_pid: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lock, "_BOOT_ID", tmp_path / "none")
    assert lock._machine() is None
    assert not holder(ended_pid, machine=None).ended
    assert not holder(ended_pid, machine="another boot_id").ended
