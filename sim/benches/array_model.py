"""What a MATMUL instruction does to the on-chip memories, by the golden operators alone.

The slow oracle of the array's bench: byte layouts, addresses and loops are written out again here,
token by token, and kept apart from `hw.formats`, `hw.program` and the interpreter on purpose. An
error in what those share with the hardware shows as a difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from golden import ops
from hw.config import Config
from hw.isa.instruction import Mem
from hw.isa.limits import MIN_TILE, PARAM_GAP

FILL = 0xAA
Array = npt.NDArray[Any]
Fields = dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Channels:
    """Parameters of the Cn channels of one tile, int64 arrays [Cn]."""

    bias: Array
    shift: Array
    la: Array
    lo: Array
    alpha: Array

    def pack(self, config: Config) -> Array:
        """Stream words [param_words, Cn, K]."""
        raw = np.zeros((config.cols, 8), np.uint8)
        raw[:, :4] = self.bias.astype("<i4").view(np.uint8).reshape(-1, 4)
        for i, name in enumerate(("shift", "la", "lo", "alpha")):
            raw[:, 4 + i] = getattr(self, name) & 0xFF
        words = np.zeros(config.param_words * config.stream_bytes, np.uint8)
        words[: raw.size] = raw.ravel()
        return words.reshape(config.param_words, config.cols, config.lanes)

    @staticmethod
    def unpack(words: Array, config: Config) -> Channels:
        """The inverse of `pack`."""
        raw = words.reshape(-1)[: config.cols * 8].reshape(config.cols, 8)
        return Channels(
            bias=raw[:, :4].copy().view("<i4")[:, 0].astype(np.int64),
            shift=raw[:, 4].view(np.int8).astype(np.int64),
            la=raw[:, 5].astype(np.int64),
            lo=raw[:, 6].astype(np.int64),
            alpha=raw[:, 7].astype(np.int64),
        )


@dataclass(kw_only=True)
class Memories:
    """Contents of every memory that the ARRAY unit reads or writes, filled with 0xAA."""

    config: Config
    act: Array = field(init=False)
    stream: Array = field(init=False)
    value: Array = field(init=False)
    logit: Array = field(init=False)
    residual: Array = field(init=False)
    out: Array = field(init=False)
    maxima: Array = field(init=False)
    s1: Array = field(init=False)
    s2: Array = field(init=False)
    gelu: Array = field(init=False)

    def __post_init__(self) -> None:
        c = self.config

        def filled(*shape: int) -> Array:
            return np.full(shape, FILL, np.uint8)

        self.act = filled(c.act_words, c.rows, c.act_bytes)
        self.stream = filled(c.stream_words, c.cols, c.lanes)
        self.value = filled(c.value_words, c.head_lanes)
        self.logit = filled(c.logit_words, c.rows, c.cols)
        self.residual = filled(c.residual_words, c.cols)
        self.out = filled(c.out_words, 4 * c.cols).view("<i4")
        self.maxima = filled(c.slots, c.rows)
        self.s1 = np.full(c.max_tokens, FILL, np.int64)
        self.s2 = np.full(c.max_tokens, FILL, np.int64)
        self.gelu = np.zeros(256, np.int8)

    NAMES = ("act", "stream", "value", "logit", "residual", "out", "maxima", "s1", "s2")


@dataclass(kw_only=True)
class Case:
    """``name``, instructions, the memories before them, and rates (0..1) of pauses.

    ``timing``: the cycles must be the model's, with both inputs always ready; ``faults``: the unit
    must report a fault.
    """

    name: str
    memories: Memories
    instrs: list[Fields]
    constants: Array
    seed: int = 0
    instr_pause: float = 0.0
    const_pause: float = 0.0
    timing: bool = False
    faults: bool = False


def tile_cycles(config: Config, chunks: int, fetch: bool) -> int:
    """Cycles of one tile in a stream of tiles; ``fetch``: its sweep reads its parameters."""
    least = max(config.rows, MIN_TILE)
    if not fetch:
        return max(chunks, least)
    return max(chunks + config.param_words, least, PARAM_GAP + config.param_words)


class MatmulModel:
    """Runs MATMUL instructions one after the other on `Memories`.

    ``macs`` counts useful products, ``writes`` rows written, ``cycles`` the cycles from one last
    chunk to the next, starting at the first tile's.
    """

    def __init__(self, memories: Memories, constants: Array) -> None:
        self.mem, self.config = memories, memories.config
        self.macs = self.writes = self.cycles = 0
        self.channels: Channels | None = None
        self.constants: Iterator[Array] = iter(constants)

    def run(self, f: Fields) -> None:
        """Execute one instruction; ``f`` holds every field."""
        order = [(g, j) for g in range(f["groups"]) for j in range(f["tiles"])]
        if not f["group_outer"]:
            order.sort(key=lambda x: x[1])
        seen: int | None = None if not f["keep_params"] else -1
        for g, j in order:
            fetch = False
            if seen is None or (not f["shared_params"] and seen not in (-1, j)):
                at = f["p_addr"] + j * f["w_stride"]
                words = self.mem.stream[at : at + self.config.param_words]
                self.channels = Channels.unpack(words, self.config)
                fetch = True
            seen = j if not f["keep_params"] else -1
            self._tile(f, g, j)
            self.cycles += tile_cycles(self.config, f["chunks"], fetch)

    def _tile(self, f: Fields, g: int, j: int) -> None:
        c, w4 = self.config, bool(f["w4"])
        channels = self.channels
        assert channels is not None, "keep_params without parameters"
        count, k = f["chunks"], c.lanes
        a_at, w_at = f["a_addr"] + g * f["a_stride"], f["w_addr"] + j * f["w_stride"]
        mode = ops.psmac.MacMode.W4 if w4 else ops.psmac.MacMode.W8
        inputs = count * (2 * k if w4 else k)
        if f["x4"]:  # two words of either memory
            mode, count, inputs = ops.psmac.MacMode.W4A4, 2 * count, 4 * k * count
        words = count if w4 else -(-count // 2)
        x = self.mem.act[a_at : a_at + words].view(np.int8).transpose(1, 0, 2)
        if f["x4"]:
            x = (x << 4) >> 4
        w = self.mem.stream[w_at : w_at + count].view(np.int8).transpose(1, 0, 2)
        w = w.reshape(1, c.cols, count * k)
        if w4:
            x = x.reshape(c.rows, 1, count, 2, k)
            lo, hi = (x[..., i, :].reshape(c.rows, 1, count * k) for i in (0, 1))
        else:
            lo = hi = x.reshape(c.rows, 1, -1)[..., : count * k]
        acc = ops.PsMac(lanes=k).compute(lo, hi, w, mode)
        if f["zero_first"] and g == 0:
            acc[0] = 0
        acc += channels.bias
        rows = f["rows_last"] if g == f["groups"] - 1 else c.rows
        cols = f["cols_last"] if j == f["tiles"] - 1 else c.cols
        depth = inputs - inputs // f["chunks"] + (f["k_last"] or 64)
        self.macs += (rows - (f["zero_first"] and g == 0)) * cols * depth
        self._store(f, g, j, acc, rows, cols, channels)

    def _store(
        self, f: Fields, g: int, j: int, acc: Array, rows: int, cols: int, ch: Channels
    ) -> None:
        c, mem, dest = self.config, self.mem, Mem(f["dest"])
        if dest is Mem.OUT:
            if g == 0:
                mem.out[f["d_addr"] + j] = acc[0] << ch.la
                self.writes += 1
            return
        if dest is Mem.LOGIT and f["const_old"]:
            q = self._biased(acc, rows, ch, bool(f["masked"]))
        else:
            q = ops.Requantize().compute(acc, ch.shift)
        if f["gelu"]:
            q = ops.Gelu.compute(q, mem.gelu)
        raw = q.view(np.uint8)
        uniform = f["d_addr"] + g * f["d_stride"] + j * f["d_step"]
        self.writes += rows
        for r in range(rows):
            i = g * c.rows + r
            if dest is Mem.ACT:
                granules = mem.act.reshape(c.act_words, c.rows, c.tile_act_granules, c.cols)
                word, part = divmod(uniform, c.tile_act_granules)
                granules[word, r, part] = raw[r]
            elif dest is Mem.STREAM:
                block, lane = divmod(f["sub"] + i, c.cols)
                at = f["d_addr"] + block * f["d_stride"] + j * f["d_step"]
                words = c.cols // c.lanes
                mem.stream[at : at + words, lane] = raw[r].reshape(words, c.lanes)
            elif dest is Mem.VALUE:
                part = (f["sub"] + j) * c.cols
                mem.value[f["d_addr"] + i, part : part + c.cols] = raw[r]
            elif dest is Mem.LOGIT:
                mem.logit[uniform, r] = raw[r]
            elif dest is Mem.RESIDUAL:
                self._residual(f, i, j, acc[r], ch)
        if dest is Mem.LOGIT:
            self._maxima(f["slot"] + g, j == 0, q[:rows, :cols])

    def _biased(self, acc: Array, rows: int, ch: Channels, masked: bool) -> Array:
        """Logits of one tile, each row with the next row of constants; -32768 masks a key."""
        q = np.zeros(acc.shape, np.int8)
        for r in range(rows):
            for c, constant in enumerate(np.asarray(next(self.constants), np.int64)):
                hidden = masked and constant == -32768
                total = acc[r, c] + ((0 if hidden else constant) << ch.lo[c])
                y = int(ops.Requantize().compute(total, ch.shift[c]))
                q[r, c] = -128 if hidden else max(y, -127) if masked else y
        return q

    def _residual(self, f: Fields, i: int, j: int, acc: Array, ch: Channels) -> None:
        mem = self.mem
        at = f["d_addr"] + i * f["d_stride"] + j * f["d_step"]
        old = next(self.constants) if f["const_old"] else mem.residual[at].view(np.int8)
        y = ops.ResidualAdd().compute(acc, old, ch.la, ch.lo, ch.shift)
        mem.residual[at] = y.view(np.uint8)
        s1, s2 = ops.LayerNorm(channels=self.config.cols).statistics(y, ch.alpha)
        token = f["token"] + i
        restart = f["stats_init"] and j == 0
        mem.s1[token] = s1 + (0 if restart else mem.s1[token])
        mem.s2[token] = s2 + (0 if restart else mem.s2[token])

    def _maxima(self, slot: int, restart: bool, q: Array) -> None:
        best = np.full(self.config.rows, -128, np.int64)
        best[: len(q)] = q.max(-1)
        kept = self.mem.maxima[slot].view(np.int8)
        kept[:] = best if restart else np.maximum(kept, best)
