"""What the project tells a person besides its results: one logger, ``potvit``.

Notes (random weights, a broken file that is made again) are warnings and go to standard error
unless ``-q`` asks for silence; ``-v`` adds what was done and how long it took. A library user may
put other handlers in the place of the logger's one. This module runs on the standard library alone,
because the set-up uses it.
"""

from __future__ import annotations

import logging
import sys

LOGGER = logging.getLogger("potvit")


class _Console(logging.Handler):
    """Writes to whatever standard error is at that time, as ``print`` would."""

    def emit(self, record: logging.LogRecord) -> None:
        print(record.getMessage(), file=sys.stderr)


LOGGER.addHandler(_Console())
LOGGER.propagate = False


def note(text: str) -> None:
    """Tell the user ``text``, one line."""
    LOGGER.warning("%s", text)


def detail(text: str) -> None:
    """Tell ``text`` to a user who asked for more (``-v``)."""
    LOGGER.info("%s", text)


def quiet() -> bool:
    """Whether the user asked for errors only (``-q``)."""
    return not LOGGER.isEnabledFor(logging.WARNING)


def set_verbosity(*, verbose: bool = False, quiet: bool = False) -> None:
    """Let through no notes with ``quiet``, details too with ``verbose``."""
    level = logging.WARNING
    if quiet:
        level = logging.ERROR
    elif verbose:
        level = logging.INFO
    LOGGER.setLevel(level)
