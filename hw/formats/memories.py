"""The memories that instructions name: their words, and ranges of them.

One row per memory states how many words it has, what a word is, and how it lies in DRAM; RTL,
compiler, interpreter and reports take it from here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from hw.config import CODE_BITS, NORM_CHANNEL_BYTES, Config
from hw.isa.payload import Mem


class Space(IntEnum):
    """Everything that an instruction can read or write; the first nine are `Mem`, by its numbers.

    ``DRAM`` is the window, in bus beats from its beginning.
    """

    ACT = Mem.ACT
    STREAM = Mem.STREAM
    VALUE = Mem.VALUE
    LOGIT = Mem.LOGIT
    RESIDUAL = Mem.RESIDUAL
    OUT = Mem.OUT
    NORM = Mem.NORM
    GELU = Mem.GELU
    CONST = Mem.CONST
    STATISTICS = 9
    MAXIMA = 10
    DRAM = 11


@dataclass(frozen=True)
class Access:
    """Words ``lo`` (included) to ``hi`` (excluded) of one space."""

    space: Space
    lo: int
    hi: int


@dataclass(frozen=True, kw_only=True)
class Memory:
    """``words`` words, each an array ``shape`` of ``dtype`` numbers.

    A word is what one address names: in all banks where a memory is banked by row. ``moved`` is
    the bytes of a word that LOAD brings or STORE takes; it is the word's own size but for the
    GELU table, whose byte goes to every column's copy.
    """

    words: int
    shape: tuple[int, ...]
    dtype: str
    moved: int

    @property
    def bytes_(self) -> int:
        """Bytes of a word as it is kept."""
        return math.prod(self.shape) * int(self.dtype[-1])


@lru_cache(maxsize=64)
def memories(config: Config) -> dict[Space, Memory]:
    """The memories of ``config``; CONST is a FIFO, which nobody addresses."""
    c = config

    def row(words: int, *shape: int, dtype: str = "i1", moved: int | None = None) -> Memory:
        size = math.prod(shape) * int(dtype[-1])
        return Memory(words=words, shape=shape, dtype=dtype, moved=size if moved is None else moved)

    return {
        Space.ACT: row(c.act_words, c.rows, c.act_bytes),
        Space.STREAM: row(c.stream_words, c.cols, c.lanes, dtype="u1"),
        Space.VALUE: row(c.value_words, c.head_lanes),
        Space.LOGIT: row(c.logit_words, c.rows, c.cols, dtype="u1"),
        Space.RESIDUAL: row(c.residual_words, c.cols),
        Space.OUT: row(c.out_words, c.cols, dtype="<i4"),
        Space.NORM: row(c.norm_words, c.lanes, NORM_CHANNEL_BYTES, dtype="u1"),
        Space.GELU: row(256, c.cols, moved=1),
        Space.CONST: row(c.const_rows, c.cols, dtype="<i2"),
        Space.STATISTICS: row(c.max_tokens, 2, dtype="<i8"),
        Space.MAXIMA: row(c.slots, c.rows),
    }


def memory_bytes(config: Config) -> dict[str, int]:
    """Size of each on-chip memory in bytes by name, those inside the attention unit included."""
    inside = (Space.STATISTICS, Space.MAXIMA)
    found = {
        space.name.lower(): memory.words * memory.bytes_
        for space, memory in memories(config).items()
        if space not in inside
    }
    code_bits = config.code_words * config.keys_per_cycle * config.rows * CODE_BITS
    return found | {"distance": config.distance_words * config.rows, "code": -(-code_bits // 8)}


def moved_beats(space: Space, words: int, config: Config, *, packed: bool) -> int:
    """Bus beats of ``words`` words of a memory in DRAM.

    ``packed``, as LOAD reads them: short words share a beat. Otherwise, as STORE writes them, each
    word fills whole beats.
    """
    size = memories(config)[space].moved
    if packed:
        return -(-words * size // config.axi_bytes)
    return words * -(-size // config.axi_bytes)
