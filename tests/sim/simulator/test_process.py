"""Children end with whoever waits for them."""

import subprocess
import time
from pathlib import Path

import pytest

from sim.simulator import process
from sim.simulator.process import run_group


def test_output_and_status_come_back():
    done = run_group(["sh", "-c", "echo out; exit 3"], stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout) == (3, "out\n")


def test_a_watcher_is_called_and_nothing_is_lost(monkeypatch):
    """More output than a pipe holds, while somebody watches, with a time limit or without."""
    monkeypatch.setattr(process, "TICK", 0.05)
    script = "yes 12345678 | head -c 300000; sleep 0.4; echo end"
    for timeout in (None, 30.0):
        seen = []
        done = run_group(
            ["sh", "-c", script], timeout=timeout, watch=lambda: seen.append(1),  # noqa: B023
            stdout=subprocess.PIPE,
        )  # fmt: skip
        assert len(done.stdout) == 300004
        assert len(seen) > 3
    with pytest.raises(subprocess.TimeoutExpired):
        run_group(["sleep", "60"], timeout=0.3, watch=lambda: seen.append(1))


def test_grandchildren_die_with_the_wait(tmp_path):
    """A compiler's or a shell's own children must not run on."""
    note = tmp_path / "pid"
    script = f"sleep 60 & echo $! > {note}; wait"
    with pytest.raises(subprocess.TimeoutExpired):
        run_group(["sh", "-c", script], timeout=1)
    status = Path(f"/proc/{note.read_text().strip()}/status")
    for _ in range(50):
        if not status.exists() or "Z (zombie)" in status.read_text():
            return
        time.sleep(0.1)
    raise AssertionError("the grandchild runs on")
