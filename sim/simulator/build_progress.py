"""How far the C++ build of a simulator is: which object files there are already."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from golden.support.progress import Meter

#: Files that run once are compiled without optimisation: a byte of them takes a fraction.
_SLOW, _SLOW_SHARE = "__Slow", 0.25


@contextmanager
def compiling(title: str, obj: Path) -> Iterator[Callable[[], None]]:
    """A bar over the compilation of the sources in ``obj``; calling what it yields moves it."""
    work = {source: _work(source) for source in obj.glob("*.cpp")}
    with Meter(title, sum(work.values())) as meter:

        def look() -> None:
            if meter.shown:
                meter.to(done(work))

        yield look


def done(work: dict[Path, float]) -> float:
    """Work of those sources that have their object file."""
    return sum(share for source, share in work.items() if source.with_suffix(".o").exists())


def _work(source: Path) -> float:
    return source.stat().st_size * (_SLOW_SHARE if _SLOW in source.name else 1.0)
