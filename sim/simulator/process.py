"""Child processes that never outlive the command that started them."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import Any


def run_group(
    command: list[str], *, timeout: float | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run ``command`` in a process group of its own; ``options`` as of ``subprocess.Popen``.

    Whatever ends the wait (an interrupt, ``subprocess.TimeoutExpired``) kills the whole group: a
    compiler's children and a simulator go with it.
    """
    with subprocess.Popen(command, process_group=0, text=True, **options) as child:
        try:
            out, err = child.communicate(timeout=timeout)
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise
        return subprocess.CompletedProcess(command, child.returncode, out, err)
