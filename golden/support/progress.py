"""Progress on standard error, with the time that is left; nothing where that is no terminal."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from tqdm import tqdm

from golden.support.errors import PotvitError
from golden.support.locations import BUILD
from golden.support.notes import detail, quiet
from golden.support.report_file import write_json

T = TypeVar("T")

#: How much longer than guessed each kind of work took when it was last done here.
PACES = BUILD / "paces.json"
#: Seconds between two looks at work that runs elsewhere.
TICK = 0.5
_BAR = "{desc}: {percentage:3.0f}% |{bar}| {elapsed} so far, about {remaining} left"


def progress(items: Iterable[T], title: str) -> Iterable[T]:
    """`items` behind a progress bar on standard error; plain where that is no terminal."""
    return tqdm(items, desc=title, disable=_disabled(title), leave=False, **_size())


def _disabled(title: str) -> bool | None:
    """Whether a bar is left out: yes, or (None) where standard error is no terminal."""
    return True if not title or quiet() else None


def _size() -> dict[str, int]:
    """Room for a bar: the terminal's; some (those of containers and of ``script``) say 0 by 0."""
    found = shutil.get_terminal_size()
    return {"ncols": min(found.columns or 80, 100), "nrows": found.lines or 24}


class Meter:
    """A bar for work that is told how far it is; a context manager, after which the bar is gone."""

    def __init__(self, title: str, total: float) -> None:
        self._bar = tqdm(
            total=max(total, 1e-9), desc=title, disable=_disabled(title), leave=False,
            bar_format=_BAR, **_size(),
        )  # fmt: skip
        #: Whether anybody sees it: measuring for nobody may be left out.
        self.shown = not self._bar.disable

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def call(self, title: str) -> None:
        """Show another title from the next `to` on."""
        self._bar.set_description_str(title, refresh=False)

    def to(self, done: float) -> None:
        """Show that ``done`` of the total is done; more than the total shows as all of it."""
        if self.shown:
            self._bar.n = min(done, self._bar.total)
            self._bar.refresh()


class Pace:
    """How long a kind of work is expected to take, by a guess and by the last time here.

    ``kind`` names the work in `PACES`; ``guess`` is its seconds on an unknown machine. The clock
    runs from the making of the object.
    """

    def __init__(self, kind: str, guess: float) -> None:
        self._kind, self._guess = kind, guess
        self._expected = guess * _paces().get(kind, 1.0)
        self._began = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the work began."""
        return time.monotonic() - self._began

    def share(self) -> float:
        """Share of the work that should be done by now; work that takes longer is never done."""
        left = max(self._expected - self.elapsed, 0.1 * self.elapsed)
        return self.elapsed / (self.elapsed + left + 1e-9)

    def correct(self, share: float) -> None:
        """Expect what follows from a ``share`` that is done now for certain."""
        self._expected = self.elapsed / share

    def keep(self) -> None:
        """Remember how long the work took, now that it is done."""
        with suppress(PotvitError):  # only the next estimate suffers
            write_json(PACES, {**_paces(), self._kind: round(self.elapsed / self._guess, 3)})


@contextmanager
def expecting(title: str, guess: float) -> Iterator[None]:
    """A bar over work that says nothing of itself; the first word of ``title`` is its kind.

    The time left follows from a guess in seconds, corrected by how far off the guess was when work
    of this kind was last done here.
    """
    ended = threading.Event()
    with Meter(title, 1) as meter:
        pace = Pace(title.split()[0], guess)

        def tick() -> None:
            while not ended.wait(TICK):
                meter.to(pace.share())

        ticker = threading.Thread(target=tick, daemon=True)
        if meter.shown:
            ticker.start()
        try:
            yield
        finally:
            ended.set()
            if meter.shown:
                ticker.join()
    detail(f"{title}: {pace.elapsed:.1f} s")
    if meter.shown:
        pace.keep()


def _paces() -> dict[str, float]:
    try:
        found = json.loads(PACES.read_text(encoding="utf-8"))
        return {kind: float(pace) for kind, pace in found.items() if 0 < float(pace) < 1e6}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
