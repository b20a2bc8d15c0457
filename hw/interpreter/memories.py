"""NumPy models of all on-chip memories; every access is checked and can be recorded."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from golden.support.errors import PotvitError
from hw.config import Config
from hw.formats.memories import Space, space_sizes

Array = npt.NDArray[Any]
POISON = 0xAA


class Memories:
    """All memories of one accelerator, filled with 0xAA.

    Arrays are indexed by word first: ``ACT`` [word, bank, 2K], ``STREAM`` [word, column, K],
    ``VALUE`` [token, D], ``LOGIT`` [word, bank, Cn], ``RESIDUAL`` [word, Cn], ``OUT`` [word, Cn],
    ``NORM`` [word, K, 8], ``GELU`` [256], ``STATISTICS`` [token, (S1, S2)], ``MAXIMA``
    [slot, row]. ``reads`` and ``writes`` collect the words touched since ``forget``.
    """

    def __init__(self, config: Config) -> None:
        c = config
        self.config = config
        shapes: dict[Space, tuple[tuple[int, ...], str]] = {
            Space.ACT: ((c.rows, c.act_bytes), "i1"),
            Space.STREAM: ((c.cols, c.lanes), "u1"),
            Space.VALUE: ((c.head_lanes,), "i1"),
            Space.LOGIT: ((c.rows, c.cols), "u1"),
            Space.RESIDUAL: ((c.cols,), "i1"),
            Space.OUT: ((c.cols,), "<i4"),
            Space.NORM: ((c.lanes, 8), "u1"),
            Space.GELU: ((), "i1"),
            Space.STATISTICS: ((2,), "<i8"),
            Space.MAXIMA: ((c.rows,), "i1"),
        }
        sizes = space_sizes(config)
        self.data: dict[Space, Array] = {}
        for space, (shape, dtype) in shapes.items():
            array = np.empty((sizes[space], *shape), dtype)
            array.view(np.uint8)[...] = POISON
            self.data[space] = array
        self.reads: dict[Space, list[Array]] = {}
        self.writes: dict[Space, list[Array]] = {}

    def forget(self) -> None:
        """Start a new record of touched words."""
        self.reads, self.writes = {}, {}

    def _check(self, space: Space, words: Array) -> Array:
        words = np.asarray(words)
        if words.size and (words.min() < 0 or words.max() >= len(self.data[space])):
            raise PotvitError(
                f"illegal address: words {words.min()}..{words.max()} of {space.name}, "
                f"which has {len(self.data[space])}"
            )
        return words

    def read(self, space: Space, words: Array) -> Array:
        """A copy of ``words`` (any index array) of a memory."""
        words = self._check(space, words)
        self.reads.setdefault(space, []).append(words.reshape(-1))
        return np.array(self.data[space][words])

    def write(self, space: Space, words: Array, *inner: Any, value: Array) -> None:
        """Write ``value`` to ``data[words, *inner]``."""
        words = self._check(space, words)
        self.writes.setdefault(space, []).append(words.reshape(-1))
        self.data[space][(words, *inner)] = value
