"""Cycles that the RTL takes, as the cycle model knows them."""

from __future__ import annotations

from dataclasses import dataclass

from hw.isa.latencies import (
    ACCUMULATE,
    CODE,
    DRAIN,
    LOGIT_FEED,
    READ,
    ROOT,
    ROW,
    SUM,
    SWEEP_GAP,
)
from hw.isa.limits import PARAM_GAP


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Cycles that the RTL takes beside the work itself.

    What belongs to one unit follows from the latencies of its stages (`hw.isa.latencies`), which
    the RTL is built from and the unit's bench holds to the cycle. The others are measured on whole
    runs: parts of several units, or the memory behind the bus, are in them.

    ``fetch``: start register to first instruction; ``dispatch``: dispatch to start; ``drain``
    (plus R, for the rows behind the first and a cycle to tell of it): last chunk to done;
    ``param_gap``: least chunks of a tile that fetches parameters; ``constant``: a position
    constant in the FIFO to the chunk that waits for it; ``read``: AXI read latency; ``load``: last
    beat to done; ``norm_token``, ``norm``: least cycles of a token, last step to done; ``attend``,
    ``code``: cycles of the summing and the coding pass beyond one per key; ``sweep``: cycles of a
    sweep over the values beyond one per P keys, ``attend_end`` behind the last; ``write``: last
    beat to done; ``finish``: last done to interrupt.
    """

    fetch: int = 37
    dispatch: int = 3
    drain: int = READ + ACCUMULATE + ROW + DRAIN
    constant: int = 2
    read: int = 32
    load: int = 4
    norm_token: int = ROOT
    norm: int = 41
    attend: int = LOGIT_FEED - 1 + SUM
    code: int = READ + CODE
    sweep: int = SWEEP_GAP
    attend_end: int = 2
    write: int = 7
    finish: int = 1
    param_gap: int = PARAM_GAP
