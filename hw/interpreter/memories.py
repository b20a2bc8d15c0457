"""NumPy models of all on-chip memories; every access is checked and can be recorded."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from golden.support.errors import PotvitError
from hw.config import Config
from hw.formats.memories import Space, memories

Array = npt.NDArray[Any]
POISON = 0xAA


class Memories:
    """All memories of one accelerator, filled with 0xAA.

    Arrays are indexed by word first, then as ``hw.formats.memories`` shapes a word; ``GELU`` is
    [256]. ``reads`` and ``writes`` collect the words touched since ``forget``, of DRAM the beats.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.data: dict[Space, Array] = {}
        for space, memory in memories(config).items():
            # One copy of the GELU table stands for all columns'.
            shape = () if space is Space.GELU else memory.shape
            array = np.empty((memory.words, *shape), memory.dtype)
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

    def touch(self, offset: int, size: int, *, write: bool) -> None:
        """Record ``size`` bytes of DRAM from window offset ``offset``."""
        beats = np.arange(
            offset // self.config.axi_bytes, -(-(offset + size) // self.config.axi_bytes)
        )
        (self.writes if write else self.reads).setdefault(Space.DRAM, []).append(beats)

    def write(self, space: Space, words: Array, *inner: Any, value: Array) -> None:
        """Write ``value`` to ``data[words, *inner]``."""
        words = self._check(space, words)
        self.writes.setdefault(space, []).append(words.reshape(-1))
        self.data[space][(words, *inner)] = value
