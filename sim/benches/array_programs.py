"""Random MATMUL programs for the ARRAY bench: every destination, mode and ragged shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from hw.config import Config
from hw.isa.instruction import PAYLOAD, Mem, Op
from hw.precision import Precision
from sim.benches.array_model import Array, Case, Channels, Fields, Memories

NAMES = tuple(name for name, _ in PAYLOAD[Op.MATMUL])
DESTS = (Mem.ACT, Mem.STREAM, Mem.VALUE, Mem.LOGIT, Mem.RESIDUAL, Mem.OUT)


class Program:
    """Draws instructions and places their operands; reads and writes never meet."""

    def __init__(self, config: Config, seed: int) -> None:
        self.config, self.rng = config, np.random.default_rng(seed)
        self.memories = Memories(config=config)
        self.memories.gelu = self.rng.integers(-128, 128, 256).astype(np.int8)
        self.instrs: list[Fields] = []
        self.constants: list[Array] = []
        self.taken: set[int] = set()
        # Operands below, results above: drains of one instruction overlap reads of the next.
        self.act_half = config.act_words // 2
        half = config.stream_words // 2
        rng = self.rng
        self.memories.act[: self.act_half] = rng.integers(
            0, 256, (self.act_half, config.rows, config.act_bytes)
        )
        self.memories.stream[:half] = rng.integers(0, 256, (half, config.cols, config.lanes))
        self.memories.residual[:] = rng.integers(0, 256, self.memories.residual.shape)

    def draw(self, low: int, high: int) -> int:
        """A random integer, both ends included."""
        return int(self.rng.integers(low, high + 1))

    def channels(self, dest: Mem, depth: int) -> Channels:
        """Parameters that spread results over int8, some saturating, some shifted left."""
        n, rng = self.config.cols, self.rng
        spread = int(np.log2(5000 * np.sqrt(depth)))
        bias = rng.integers(-1 << spread, 1 << spread, n)
        shift = rng.integers(spread - 8, spread - 3, n)
        la = rng.integers(0, 4, n) if dest in (Mem.RESIDUAL, Mem.OUT) else rng.integers(0, 32, n)
        lo = rng.integers(0, 12, n)
        if dest is Mem.RESIDUAL:
            shift = shift + la
        if self.rng.random() < 0.1:
            shift[rng.integers(n)] = rng.integers(-32, 32)
        return Channels(bias=bias, shift=shift, la=la, lo=lo, alpha=rng.integers(0, 4, n))

    def add(self, dest: Mem, **fixed: int) -> None:
        """Append a random legal instruction to ``dest``; ``fixed`` fields are kept."""
        c = self.config
        limit = c.head_lanes // c.cols if dest is Mem.VALUE else 3
        f = dict.fromkeys(NAMES, 0) | {
            "dest": int(dest),
            "chunks": self.draw(1, 14),
            "groups": 1 if dest is Mem.OUT else self.draw(1, 3),
            "tiles": self.draw(1, limit),
            "rows_last": self.draw(1, c.rows),
            "cols_last": self.draw(1, c.cols),
            "group_outer": 1 if dest is Mem.LOGIT else self.draw(0, 1),
            "w4": self.draw(0, 1),
            "zero_first": int(self.draw(0, 4) == 0),
            "shared_params": self.draw(0, 1),
            "gelu": self.draw(0, 1) if dest is Mem.ACT else 0,
            "const_old": self.draw(0, 1) if dest in (Mem.RESIDUAL, Mem.LOGIT) else 0,
            "masked": self.draw(0, 1),
            "stats_init": self.draw(0, 1),
        }  # fmt: skip
        f |= fixed
        if f["w4"] and c.precision is Precision.W4A4:
            f["x4"] = fixed.get("x4", self.draw(0, 1))
        halves = 4 if f["x4"] else 2 if f["w4"] else 1  # of an activation word, in a chunk
        f["k_last"] = fixed.get("k_last", self.draw(1, halves * c.lanes) % 64)
        words = -(-f["chunks"] * halves // 2)
        f["a_stride"] = self.draw(0, 6) + words
        f["a_addr"] = self.draw(0, self.act_half - words - f["a_stride"] * (f["groups"] - 1))
        self._weights(dest, f)
        self._destination(dest, f)
        self.instrs.append(f | fixed)

    def _weights(self, dest: Mem, f: Fields) -> None:
        """Weight tiles with their parameters in front, in a random place of the lower half."""
        c = self.config
        size = c.param_words + (2 if f["x4"] else 1) * f["chunks"]
        f["w_stride"] = size + self.draw(0, 4)
        span = f["w_stride"] * f["tiles"]
        sweeps = 1 if f["shared_params"] else f["tiles"]
        while True:  # weights may be shared, parameters not
            at = self.draw(0, c.stream_words // 2 - span)
            words = {
                at + j * f["w_stride"] + i for j in range(sweeps) for i in range(c.param_words)
            }
            if not words & self.taken:
                break
        f["p_addr"], f["w_addr"] = at, at + c.param_words
        if f["keep_params"]:
            f["shared_params"] = 1
            return
        self.taken |= words
        depth = f["chunks"] * c.lanes
        for p in sorted(words)[:: c.param_words]:
            self.memories.stream[p : p + c.param_words] = self.channels(dest, depth).pack(c)

    def _destination(self, dest: Mem, f: Fields) -> None:
        c, tiles, groups = self.config, f["tiles"], f["groups"]
        indices = (groups - 1) * c.rows + f["rows_last"]
        if dest is Mem.ACT:
            n = c.tile_act_granules
            self._place(f, c.act_words * n, self.act_half * n, groups, tiles)
        elif dest is Mem.LOGIT:
            self._place(f, c.logit_words, 0, groups, tiles)
            f["slot"] = self.draw(0, c.slots - groups)
            if f["const_old"]:
                self._biases(indices * tiles, masked=bool(f["masked"]))
        elif dest is Mem.RESIDUAL:
            self._place(f, c.residual_words, 0, indices, tiles)
            f["token"] = self.draw(0, c.max_tokens - indices)
            if f["const_old"]:
                rows = self.rng.integers(-30000, 30000, (indices * tiles, c.cols))
                self.constants.extend(rows.astype(np.int16))
        elif dest is Mem.VALUE:
            f["d_addr"] = self.draw(0, c.value_words - indices)
            f["sub"] = self.draw(0, c.head_lanes // c.cols - tiles)
        elif dest is Mem.STREAM:
            words = c.cols // c.lanes
            f["sub"] = self.draw(0, c.cols - 1)
            blocks = (f["sub"] + indices - 1) // c.cols + 1
            f["d_step"], f["d_stride"] = words, words * (tiles + self.draw(0, 3))
            low, high = c.stream_words // 2, c.stream_words - blocks * f["d_stride"]
            f["d_addr"] = self.draw(low // words, high // words) * words
        else:
            f["d_addr"] = self.draw(0, c.out_words - tiles)

    def _biases(self, rows: int, *, masked: bool) -> None:
        """Constants of logits: with a mask, biases of 8 bits and some -32768."""
        shape, rng = (rows, self.config.cols), self.rng
        if masked:
            biases = rng.integers(-128, 128, shape)
            biases[rng.random(shape) < 0.3] = -32768
        else:
            biases = rng.integers(-32768, 32768, shape)
        self.constants.extend(biases.astype(np.int16))

    def _place(self, f: Fields, size: int, low: int, outer: int, tiles: int) -> None:
        """Addresses whose (outer, tile) pairs all differ, either of the two the faster one."""
        if self.draw(0, 1):
            f["d_step"], f["d_stride"] = 1, tiles + self.draw(0, 2)
        else:
            f["d_step"], f["d_stride"] = outer + self.draw(0, 2), 1
        f["d_step"] = min(f["d_step"], 63)
        if f["d_stride"] == 1 and f["d_step"] < outer:
            f["d_step"], f["d_stride"] = 1, tiles
        span = (outer - 1) * f["d_stride"] + (tiles - 1) * f["d_step"] + 1
        f["d_addr"] = self.draw(low, size - span)

    def case(self, **options: Any) -> Case:
        """The program as a case with further ``options`` of `Case`."""
        rows = np.array(self.constants).reshape(-1, self.config.cols)
        return Case(memories=self.memories, instrs=self.instrs, constants=rows, **options)


def mixed(config: Config, seed: int, count: int) -> Program:
    """Random instructions of every kind, some with the parameters of the one before."""
    program = Program(config, seed)
    for i in range(count):
        dest = DESTS[program.draw(0, len(DESTS) - 1)]
        keep = {}
        if i and dest in (Mem.ACT, Mem.LOGIT, Mem.VALUE) and program.draw(0, 3) == 0:
            keep = {"keep_params": 1}
        program.add(dest, **keep)
    return program
