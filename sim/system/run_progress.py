"""How far a simulation is: the last cycle in the trace that the accelerator writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from golden.support.progress import Meter
from sim.system.trace import TRACE

#: Longest end of the trace that holds a whole line for certain.
_END = 4096


@contextmanager
def simulating(title: str, folder: Path, cycles: int) -> Iterator[Callable[[], None]]:
    """A bar over ``cycles`` predicted cycles in ``folder``; calling what it yields moves it."""
    with Meter(title, cycles) as meter:

        def look() -> None:
            if meter.shown:
                meter.to(last_cycle(folder / TRACE))

        yield look


def last_cycle(trace: Path) -> int:
    """Cycle of the last whole line, counted from the start of the simulation; 0 without one."""
    try:
        with trace.open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - _END))
            lines = stream.read().split(b"\n")
    except OSError:
        return 0
    # Behind the last line break there is a part of a line, or nothing.
    return int(lines[-2].split()[0]) if len(lines) > 1 and lines[-2] else 0
