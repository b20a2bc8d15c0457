"""MATMUL: operands and products when it is issued, everything else when it drains."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from golden import ops
from golden.ops.rounding import fits
from golden.ops.softmax import MASKED
from golden.support.errors import PotvitError
from hw.formats.channel import CHANNEL
from hw.formats.constants import MASK
from hw.formats.memories import Space
from hw.interpreter.memories import Memories
from hw.isa.payload import Matmul, Mem
from hw.lib.numbers import Array
from hw.program.destination import DESTINATIONS
from hw.program.footprint import chunk_inputs, operand_words


def low_nibble(data: Array) -> Array:
    """The signed low nibbles of bytes, int8."""
    return ((data & 15) ^ 8).astype(np.int8) - np.int8(8)


class ArrayModel:
    """The PE array with its drain: parameters it keeps and the FIFO of position constants."""

    def __init__(self, memories: Memories) -> None:
        self.memories = memories
        self.config = memories.config
        self.constants: deque[Array] = deque()
        self._params: Array | None = None

    def issue(self, f: Matmul) -> Callable[[], None]:
        """Read operands and parameters and multiply; the result drains them into memory."""
        params = self._parameters(f)
        acts = self._activations(f)
        weights = self._weights(f)
        groups, rows, inputs = acts.shape
        tiles, cols, _ = weights.shape
        flat = acts.reshape(groups * rows, inputs)
        if f.zero_first:
            flat[0] = 0
        acc = flat @ weights.reshape(tiles * cols, inputs).T
        real = (groups - 1) * rows + f.rows_last
        acc = acc[:real].astype(np.int64).reshape(real, tiles, cols).transpose(1, 0, 2)
        acc = acc + params["bias"][:, None]
        if not fits(acc, 32):
            raise PotvitError("an accumulator left 32 bits")
        return lambda: self._drain(f, acc, params)

    def _activations(self, f: Matmul) -> Array:
        """float64 [groups, R, inputs]."""
        words, _ = operand_words(f)
        at = f.a_addr + np.arange(f.groups)[:, None] * f.a_stride + np.arange(words)
        data = self.memories.read(Space.ACT, at).transpose(0, 2, 1, 3)
        data = data.reshape(f.groups, self.config.rows, -1)
        inputs = f.chunks * chunk_inputs(f, self.config)
        data = data[:, :, :inputs]
        return np.asarray(low_nibble(data) if f.x4 else data, np.float64)

    def _weights(self, f: Matmul) -> Array:
        """float64 [tiles, Cn, inputs]; float64 carries the products exactly."""
        _, words = operand_words(f)
        at = f.w_addr + np.arange(f.tiles)[:, None] * f.w_stride + np.arange(words)
        data = self.memories.read(Space.STREAM, at)
        if f.w4:
            data = np.concatenate([low_nibble(data), data.view(np.int8) >> 4], axis=-1)
        else:
            data = data.view(np.int8)
        order = data.transpose(0, 2, 1, 3).astype(np.float64)
        return order.reshape(f.tiles, self.config.cols, -1)

    def _parameters(self, f: Matmul) -> dict[str, Array]:
        """Per tile and column: bias, shift, la, lo, alpha, int64 [tiles, Cn]."""
        if f.keep_params:
            if self._params is None:
                raise PotvitError("keep_params without parameters to keep")
            raw = self._params
        else:
            sets = 1 if f.shared_params else f.tiles
            at = f.p_addr + np.arange(sets)[:, None] * f.w_stride
            at = at + np.arange(self.config.param_words)
            raw = self.memories.read(Space.STREAM, at).reshape(sets, -1)
            raw = raw[:, : self.config.cols * CHANNEL.size]
            raw = raw.reshape(sets, self.config.cols, CHANNEL.size)
        self._params = raw[-1:]
        return CHANNEL.unpack(np.broadcast_to(raw, (f.tiles, *raw.shape[1:])))

    def _drain(self, f: Matmul, acc: Array, params: dict[str, Array]) -> None:
        """``acc`` is int64 [tiles, real rows, Cn]."""
        mem, dest = self.memories, f.dest
        if dest not in DESTINATIONS:
            raise PotvitError(f"illegal instruction: MATMUL into {dest.name}")
        place = DESTINATIONS[dest].index(f, self.config)
        if dest is Mem.RESIDUAL:
            return self._residual(f, acc, params, place[0])
        if dest is Mem.OUT:
            value = acc[:, 0] << params["la"]
            mem.write(Space.OUT, *place, value=value.astype(np.int32))
            return None
        if dest is Mem.LOGIT and f.const_old:
            q = self._biased(f, acc, params)
        else:
            q = ops.Requantize().compute(acc, params["shift"][:, None])
        if dest is Mem.ACT and f.gelu:
            q = mem.read(Space.GELU, np.arange(256))[q.astype(np.int64) + 128]
        value = q
        if dest is Mem.STREAM:
            value = q.reshape(*place[0].shape, self.config.lanes)
        kept = value.view(mem.data[Space(dest)].dtype)
        mem.write(Space(dest), *place, value=kept)
        if dest is Mem.LOGIT:
            q[-1, :, f.cols_last :] = -128
            row = np.arange(acc.shape[1])
            slot = f.slot + row // self.config.rows
            mem.write(Space.MAXIMA, slot, row % self.config.rows, value=q.max(axis=(0, 2)))
        return None

    def _biased(self, f: Matmul, acc: Array, params: dict[str, Array]) -> Array:
        """Logits with a constant each, int8 [tiles, real rows, Cn]; `MASK` marks a masked key."""
        tiles, real, _ = acc.shape
        rows = self.config.rows
        add = ops.ResidualAdd()
        q = np.empty(acc.shape, np.int8)
        for first in range(0, real, rows):
            own = slice(first, min(first + rows, real))
            for j in range(tiles):
                old = self._constants(own.stop - own.start)
                p = {name: params[name][j] for name in ("lo", "shift")}
                masked = (old == MASK) & f.masked
                old[masked] = 0
                new = add.compute(acc[j, own], old, la=np.zeros_like(p["lo"]), **p)
                if f.masked:
                    new = np.where(masked, MASKED, np.maximum(new, MASKED + 1))
                q[j, own] = new
        return q

    def _constants(self, rows: int) -> Array:
        """The next rows of the FIFO, int16 [rows, Cn]."""
        if len(self.constants) < rows:
            raise PotvitError("MATMUL takes position constants that no load brought")
        return np.stack([self.constants.popleft() for _ in range(rows)])

    def _residual(self, f: Matmul, acc: Array, params: dict[str, Array], place: Array) -> None:
        mem = self.memories
        tiles, real, _ = acc.shape
        tokens = f.token + np.arange(real)
        # The drain reads statistics and old residuals itself, in order with its own writes: to
        # other units these are writes, and no earlier write of its own can still be under way.
        sums = np.array(mem.data[Space.STATISTICS][tokens])
        add = ops.ResidualAdd()
        for j in range(tiles):
            at = place[j]
            if f.const_old:
                old = self._constants(real)
            else:
                old = mem.data[Space.RESIDUAL][at]
            p = {name: params[name][j] for name in ("la", "lo", "shift")}
            new = add.compute(acc[j], old, **p)
            mem.write(Space.RESIDUAL, at, value=new)
            if j == 0 and f.stats_init:
                sums[:] = 0
            x = new.astype(np.int64) << params["alpha"][j]
            sums += np.stack([x.sum(-1), (x * x).sum(-1)], axis=-1)
        mem.write(Space.STATISTICS, tokens, value=sums)
