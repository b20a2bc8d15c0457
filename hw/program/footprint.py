"""What one instruction touches, computes and moves: read by everyone who needs to know.

Accesses are ranges of words that cover what is really touched; the interpreter, which touches
words one by one, checks that. The numbers agree with the RTL's counters.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch

from hw.config import Config
from hw.formats.memories import Access, Space, moved_beats
from hw.isa.limits import MIN_TILE
from hw.isa.payload import (
    Attend,
    Gather,
    Load,
    Matmul,
    Mem,
    Norm,
    Payload,
    Scatter,
    Store,
)
from hw.lib.numbers import ceil_div
from hw.program import runs
from hw.program.destination import DESTINATIONS, real_tokens


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """Accesses and amounts of one instruction.

    ``macs`` are useful products; ``array_cycles`` the cycles of all tiles and row groups, each its
    chunks, or its drain, or the least; ``param_sets`` how often parameters are fetched;
    ``const_rows`` the position constants that a LOAD brings or a MATMUL takes; ``beats_in`` and
    ``beats_out`` bus beats; ``words_in`` and ``words_out`` words that a DMA engine writes or reads
    one a cycle, 0 where the bus is what limits it.
    """

    reads: tuple[Access, ...] = ()
    writes: tuple[Access, ...] = ()
    macs: int = 0
    array_cycles: int = 0
    param_sets: int = 0
    const_rows: int = 0
    beats_in: int = 0
    beats_out: int = 0
    words_in: int = 0
    words_out: int = 0


@singledispatch
def footprint(body: Payload, config: Config) -> Footprint:
    """The footprint of ``body`` on ``config``; empty for END."""
    return Footprint()


def dram_access(offset: int, beats: int, config: Config) -> Access:
    """``beats`` beats from a window offset."""
    first = offset // config.axi_bytes
    return Access(Space.DRAM, first, first + beats)


@footprint.register
def _load(body: Load, config: Config) -> Footprint:
    reads = (dram_access(body.dram, body.beats, config),)
    if body.dest is Mem.CONST:
        return Footprint(reads=reads, const_rows=body.words, beats_in=body.beats)
    return Footprint(
        reads=reads,
        writes=(Access(Space(body.dest), body.addr, body.addr + body.words),),
        beats_in=body.beats,
        words_in=body.words if body.dest is Mem.GELU else 0,
    )


def tile_cycles(body: Matmul, config: Config) -> int:
    """Cycles of one tile and row group: its chunks, or its drain, or the least there is."""
    return max(body.chunks, config.rows, MIN_TILE)


def chunk_inputs(body: Matmul, config: Config) -> int:
    """Products of one lane row and column in a chunk: K, 2K with 4-bit weights, or 4K."""
    return config.lanes * body.mode.products


def operand_words(body: Matmul) -> tuple[int, int]:
    """Words of ACT of a row group, and words of STREAM of a tile, that its chunks read."""
    return ceil_div(body.chunks * body.mode.products, 2), body.chunks * body.mode.weight_bytes


@footprint.register
def _matmul(body: Matmul, config: Config) -> Footprint:
    act_words, weight_words = operand_words(body)
    acts = body.a_addr + (body.groups - 1) * body.a_stride + act_words
    weights = body.w_addr + (body.tiles - 1) * body.w_stride + weight_words
    reads = [
        Access(Space.ACT, body.a_addr, acts),
        Access(Space.STREAM, body.w_addr, weights),
    ]
    sets = 0 if body.keep_params else 1 if body.shared_params else body.tiles
    if sets:
        params = body.p_addr + (sets - 1) * body.w_stride + config.param_words
        reads.append(Access(Space.STREAM, body.p_addr, params))
    if body.gelu:
        reads.append(Access(Space.GELU, 0, 256))
    tokens = real_tokens(body, config)
    columns = (body.tiles - 1) * config.cols + body.cols_last
    depth = (body.chunks - 1) * chunk_inputs(body, config) + body.last_inputs
    return Footprint(
        reads=tuple(reads),
        writes=DESTINATIONS[body.dest].writes(body, config),
        macs=(tokens - body.zero_first) * columns * depth,
        array_cycles=body.tiles * body.groups * tile_cycles(body, config),
        param_sets=sets,
        const_rows=tokens * body.tiles if body.const_old else 0,
    )


@footprint.register
def _norm(body: Norm, config: Config) -> Footprint:
    words = body.count * (body.steps * config.lanes // config.cols)
    groups = (body.count - 1) // config.rows
    last = body.d_addr + groups * body.d_stride + ceil_div(body.steps, 2)
    return Footprint(
        reads=(
            Access(Space.RESIDUAL, body.r_addr, body.r_addr + words),
            Access(Space.STATISTICS, body.token, body.token + body.count),
            Access(Space.NORM, body.p_addr, body.p_addr + body.steps),
        ),
        writes=(Access(Space.ACT, body.d_addr, last),),
    )


@footprint.register
def _attend(body: Attend, config: Config) -> Footprint:
    words = ceil_div(body.keys, config.cols)
    logits = Access(Space.LOGIT, body.l_addr, body.l_addr + words)
    results = Access(Space.ACT, body.d_addr, body.d_addr + body.d_words)
    return Footprint(
        reads=(
            logits,
            Access(Space.MAXIMA, body.slot, body.slot + 1),
            Access(Space.VALUE, body.v_addr, body.v_addr + body.keys),
        ),
        writes=(results, logits) if body.write_codes else (results,),
    )


@footprint.register
def _store(body: Store, config: Config) -> Footprint:
    space = Space(body.src)
    beats = moved_beats(space, body.words, config, packed=False)
    return Footprint(
        reads=(Access(space, body.addr, body.addr + body.words),),
        writes=(dram_access(body.dram, beats, config),),
        beats_out=beats,
    )


@footprint.register
def _gather(body: Gather, config: Config) -> Footprint:
    return Footprint(
        reads=runs.in_dram(body, config),
        writes=(runs.on_chip(body, config),),
        beats_in=body.runs * body.beats,
        words_in=body.runs * body.rows * body.segs * runs.segment_words(body, config),
    )


@footprint.register
def _scatter(body: Scatter, config: Config) -> Footprint:
    return Footprint(
        reads=(runs.on_chip(body, config),),
        writes=runs.in_dram(body, config),
        beats_out=body.runs * body.beats,
        words_out=body.runs * body.rows * body.segs * runs.segment_words(body, config),
    )
