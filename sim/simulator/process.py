"""Child processes that never outlive the command that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

from golden.support.progress import TICK


def run_group(
    command: list[str],
    *,
    timeout: float | None = None,
    watch: Callable[[], None] | None = None,
    **options: Any,
) -> subprocess.CompletedProcess[str]:
    """Run ``command`` in a process group of its own; ``options`` as of ``subprocess.Popen``.

    Whatever ends the wait (an interrupt, ``subprocess.TimeoutExpired``) kills the whole group: a
    compiler's children and a simulator go with it. ``watch`` is called twice a second meanwhile.
    """
    end = None if timeout is None else time.monotonic() + timeout
    with subprocess.Popen(command, process_group=0, text=True, **options) as child:
        try:
            out, err = _outputs(child, end, watch)
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise
        return subprocess.CompletedProcess(command, child.returncode, out, err)


def _outputs(
    child: subprocess.Popen[str], end: float | None, watch: Callable[[], None] | None
) -> tuple[str, str]:
    """What the child wrote until it ended; ``subprocess.TimeoutExpired`` at the time ``end``."""
    while True:
        left = None if end is None else max(0.0, end - time.monotonic())
        if watch is None or (left is not None and left <= TICK):
            return child.communicate(timeout=left)
        try:
            return child.communicate(timeout=TICK)
        except subprocess.TimeoutExpired:
            watch()
