"""Token runs: where GATHER and SCATTER find the bytes of a segment, on chip and in DRAM.

The contract is in docs/homes.md, Token runs; this is its arithmetic for whole instructions at once,
used by footprint and interpreter. A test walks it byte by byte.
"""

from __future__ import annotations

import numpy as np

from hw.config import Config
from hw.formats.memories import Access, Space, memories
from hw.isa.payload import Mem, TokenRun
from hw.lib.numbers import Array, ceil_div


def word_bytes(body: TokenRun, config: Config) -> int:
    """Bytes of a word as a run fills it: of one bank where a memory is banked by row."""
    return config.act_bytes if body.mem is Mem.ACT else memories(config)[Space(body.mem)].moved


def segment_words(body: TokenRun, config: Config) -> int:
    """Words of a segment, the last one possibly in part."""
    return ceil_div(body.seg_bytes, word_bytes(body, config))


def run_bytes(body: TokenRun) -> int:
    """Bytes of a run that belong to a segment."""
    return body.rows * body.segs * body.seg_bytes


def places(body: TokenRun, config: Config) -> tuple[Array, Array]:
    """Bank and word of every word, int64 [runs*rows, segs, words]; RESIDUAL has one bank."""
    banks = config.rows if body.mem is Mem.ACT else 1
    line = np.arange(body.runs * body.rows)[:, None, None]
    segment = np.arange(body.segs)[None, :, None]
    word = np.arange(segment_words(body, config))[None, None, :]
    first = body.bank + line * body.line_bank
    token = first % banks + segment
    at = body.addr + line * body.line_addr + (first // banks + token // banks) * body.stride
    bank = np.broadcast_to(token % banks, (*np.broadcast_shapes(at.shape, word.shape),))
    return bank, at + word


def on_chip(body: TokenRun, config: Config) -> Access:
    """Words from the first to the last that the runs touch."""
    words = places(body, config)[1]
    return Access(Space(body.mem), int(words.min()), int(words.max()) + 1)


def in_dram(body: TokenRun, config: Config) -> tuple[Access, ...]:
    """Beats of every run; one range where runs follow one another without a gap."""
    beat = config.axi_bytes
    first, step = body.dram // beat, body.pitch // beat
    if body.runs == 1 or step == body.beats:
        return (Access(Space.DRAM, first, first + body.runs * body.beats),)
    starts = (first + run * step for run in range(body.runs))
    return tuple(Access(Space.DRAM, at, at + body.beats) for at in starts)
