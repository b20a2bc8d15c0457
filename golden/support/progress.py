"""Progress on standard error, with the time that is left; nothing where that is no terminal."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from golden.support.errors import PotvitError
from golden.support.report_file import write_json

T = TypeVar("T")

#: Seconds that work of each title took when it was last done here.
DURATIONS = Path("build/durations.json")
#: Seconds between two looks at work that runs elsewhere.
TICK = 0.5
_BAR = "{desc}: {percentage:3.0f}% |{bar}| {elapsed} so far, about {remaining} left"


def progress(items: Iterable[T], title: str) -> Iterable[T]:
    """`items` behind a progress bar on standard error; plain where that is no terminal."""
    return tqdm(items, desc=title, disable=None if title else True, leave=False, **_size())


def _size() -> dict[str, int]:
    """Room for a bar: the terminal's; some (those of containers and of ``script``) say 0 by 0."""
    found = shutil.get_terminal_size()
    return {"ncols": min(found.columns or 80, 100), "nrows": found.lines or 24}


class Meter:
    """A bar for work that is told how far it is; a context manager, after which the bar is gone."""

    def __init__(self, title: str, total: float) -> None:
        self._bar = tqdm(
            total=max(total, 1e-9), desc=title, disable=None, leave=False, bar_format=_BAR,
            **_size(),
        )  # fmt: skip
        #: Whether anybody sees it: measuring for nobody may be left out.
        self.shown = not self._bar.disable

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def to(self, done: float) -> None:
        """Show that ``done`` of the total is done; more than the total shows as all of it."""
        if self.shown:
            self._bar.n = min(done, self._bar.total)
            self._bar.refresh()


@contextmanager
def expecting(title: str, guess: float) -> Iterator[None]:
    """A bar over work that says nothing of itself.

    The time left follows from how long work of this ``title`` took when it was last done
    (`DURATIONS`), the first time from ``guess``, in seconds. It stops short of the end.
    """
    known = _durations()
    total = known.get(title, guess)
    began, ended = time.monotonic(), threading.Event()
    with Meter(title, total) as meter:

        def tick() -> None:
            while not ended.wait(TICK):
                meter.to(min(time.monotonic() - began, 0.98 * total))

        ticker = threading.Thread(target=tick, daemon=True)
        if meter.shown:
            ticker.start()
        try:
            yield
        finally:
            ended.set()
            if meter.shown:
                ticker.join()
    if meter.shown:
        with suppress(PotvitError):  # only the next estimate suffers
            write_json(DURATIONS, {**_durations(), title: round(time.monotonic() - began, 1)})


def _durations() -> dict[str, float]:
    try:
        found = json.loads(DURATIONS.read_text(encoding="utf-8"))
        return {title: float(taken) for title, taken in found.items() if float(taken) > 0}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
