"""How far the C++ build of a simulator is: which object files there are already."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from golden.support.progress import Meter, Pace

#: Files that run once are compiled without optimisation: a byte of them takes a fraction.
_SLOW, _SLOW_SHARE = "__Slow", 0.25
#: Bytes of C++ that a processor compiles in a second, until it is known better.
_RATE = 40_000


@contextmanager
def compiling(title: str, obj: Path) -> Iterator[Callable[[], None]]:
    """A bar over the compilation of the sources in ``obj``; calling what it yields moves it.

    Objects that are finished count by the size of their sources, and correct the expectation that
    moves the bar between them.
    """
    work = {source: _work(source) for source in obj.glob("*.cpp")}
    total = sum(work.values()) or 1.0
    pace = Pace("compiling", total / _RATE / (os.cpu_count() or 1))
    finished = 0.0
    with Meter(title, 1) as meter:

        def look() -> None:
            nonlocal finished
            if not meter.shown:
                return
            share = done(work) / total
            if share > finished:
                finished = share
                pace.correct(share)
            meter.to(max(share, pace.share()))

        yield look
    if meter.shown:
        pace.keep()


def done(work: dict[Path, float]) -> float:
    """Work of those sources that have their object file."""
    return sum(share for source, share in work.items() if source.with_suffix(".o").exists())


def _work(source: Path) -> float:
    return source.stat().st_size * (_SLOW_SHARE if _SLOW in source.name else 1.0)
