"""A folder for the files of one run of a tool."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from synth.yosys import WORK


@contextmanager
def scratch() -> Iterator[Path]:
    """An empty folder that is removed afterwards."""
    WORK.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK) as name:
        yield Path(name)
