"""The memories that instructions name: their words, and ranges of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from hw.config import Config


class Space(IntEnum):
    """Everything that an instruction can read or write; the first nine are ``isa.Mem``."""

    ACT = 0
    STREAM = 1
    VALUE = 2
    LOGIT = 3
    RESIDUAL = 4
    OUT = 5
    NORM = 6
    GELU = 7
    CONST = 8
    STATISTICS = 9
    MAXIMA = 10


@dataclass(frozen=True)
class Access:
    """Words ``lo`` (included) to ``hi`` (excluded) of one space."""

    space: Space
    lo: int
    hi: int


def space_sizes(config: Config) -> dict[Space, int]:
    """Words of every space."""
    return {
        Space.ACT: config.act_words,
        Space.STREAM: config.stream_words,
        Space.VALUE: config.value_words,
        Space.LOGIT: config.logit_words,
        Space.RESIDUAL: config.residual_words,
        Space.OUT: config.out_words,
        Space.NORM: config.norm_words,
        Space.GELU: 256,
        Space.CONST: 0,
        Space.STATISTICS: config.max_tokens,
        Space.MAXIMA: config.slots,
    }
