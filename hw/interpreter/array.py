"""MATMUL: operands and products when it is issued, everything else when it drains."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from golden import ops
from golden.ops.rounding import fits
from golden.support.errors import PotvitError
from hw.formats.memories import Space
from hw.interpreter.memories import Memories
from hw.isa.instruction import Mem
from hw.lib.numbers import Array


class ArrayModel:
    """The PE array with its drain: parameters it keeps and the FIFO of position constants."""

    def __init__(self, memories: Memories) -> None:
        self.memories = memories
        self.config = memories.config
        self.constants: deque[Array] = deque()
        self._params: Array | None = None

    def issue(self, f: dict[str, int]) -> Callable[[], None]:
        """Read operands and parameters and multiply; the result drains them into memory."""
        params = self._parameters(f)
        acts = self._activations(f)
        weights = self._weights(f)
        groups, rows, inputs = acts.shape
        tiles, cols, _ = weights.shape
        flat = acts.reshape(groups * rows, inputs)
        if f["zero_first"]:
            flat[0] = 0
        acc = flat @ weights.reshape(tiles * cols, inputs).T
        real = (groups - 1) * rows + f["rows_last"]
        acc = acc[:real].astype(np.int64).reshape(real, tiles, cols).transpose(1, 0, 2)
        acc = acc + params["bias"][:, None]
        if not fits(acc, 32):
            raise PotvitError("an accumulator left 32 bits")
        return lambda: self._drain(f, acc, params)

    def _activations(self, f: dict[str, int]) -> Array:
        """float64 [groups, R, inputs]."""
        words = f["chunks"] if f["w4"] else -(-f["chunks"] // 2)
        at = f["a_addr"] + np.arange(f["groups"])[:, None] * f["a_stride"] + np.arange(words)
        data = self.memories.read(Space.ACT, at).transpose(0, 2, 1, 3)
        data = data.reshape(f["groups"], self.config.rows, -1)
        inputs = f["chunks"] * self.config.lanes * (2 if f["w4"] else 1)
        return np.asarray(data[:, :, :inputs], np.float64)

    def _weights(self, f: dict[str, int]) -> Array:
        """float64 [tiles, Cn, inputs]; float64 carries the products exactly."""
        at = f["w_addr"] + np.arange(f["tiles"])[:, None] * f["w_stride"] + np.arange(f["chunks"])
        data = self.memories.read(Space.STREAM, at)
        if f["w4"]:
            low = ((data & 15) ^ 8).astype(np.int8) - np.int8(8)
            data = np.concatenate([low, data.view(np.int8) >> 4], axis=-1)
        else:
            data = data.view(np.int8)
        order = data.transpose(0, 2, 1, 3).astype(np.float64)
        return order.reshape(f["tiles"], self.config.cols, -1)

    def _parameters(self, f: dict[str, int]) -> dict[str, Array]:
        """Per tile and column: bias, shift, la, lo, alpha, int64 [tiles, Cn]."""
        if f["keep_params"]:
            if self._params is None:
                raise PotvitError("keep_params without parameters to keep")
            raw = self._params
        else:
            sets = 1 if f["shared_params"] else f["tiles"]
            at = f["p_addr"] + np.arange(sets)[:, None] * f["w_stride"]
            at = at + np.arange(self.config.param_words)
            raw = self.memories.read(Space.STREAM, at).reshape(sets, -1)
            raw = raw[:, : self.config.cols * 8].reshape(sets, self.config.cols, 8)
        self._params = raw[-1:]
        raw = np.ascontiguousarray(np.broadcast_to(raw, (f["tiles"], *raw.shape[1:])))
        shift = (raw[..., 4] & 63).astype(np.int64)
        return {
            "bias": raw[..., :4].copy().view("<i4")[..., 0].astype(np.int64),
            "shift": (shift ^ 32) - 32,
            "la": raw[..., 5].astype(np.int64),
            "lo": raw[..., 6].astype(np.int64),
            "alpha": raw[..., 7].astype(np.int64),
        }

    def _drain(self, f: dict[str, int], acc: Array, params: dict[str, Array]) -> None:
        """``acc`` is int64 [tiles, real rows, Cn]."""
        mem, config = self.memories, self.config
        tiles, real, cols = acc.shape
        tile, token = np.arange(tiles)[:, None], np.arange(real)[None, :]
        group, row = token // config.rows, token % config.rows
        dest = Mem(f["dest"])
        if dest is Mem.RESIDUAL:
            return self._residual(f, acc, params)
        if dest is Mem.OUT:
            value = acc[:, 0] << params["la"]
            mem.write(Space.OUT, f["d_addr"] + np.arange(tiles), value=value.astype(np.int32))
            return None
        q = ops.Requantize().compute(acc, params["shift"][:, None])
        if dest is Mem.ACT:
            if f["gelu"]:
                table = mem.read(Space.GELU, np.arange(256))
                q = table[q.astype(np.int64) + 128]
            at = f["d_addr"] + group * f["d_stride"] + tile * f["d_step"]
            share = config.tile_act_granules
            lane = (at % share * cols)[..., None] + np.arange(cols)
            banks = np.broadcast_to(row, at.shape)[..., None]
            mem.write(Space.ACT, (at // share)[..., None], banks, lane, value=q)
        elif dest is Mem.STREAM:
            lane = f["sub"] + token
            at = f["d_addr"] + lane // cols * f["d_stride"] + tile * f["d_step"]
            at = at[..., None] + np.arange(cols // config.lanes)
            split = q.reshape(*at.shape, config.lanes).view(np.uint8)
            mem.write(
                Space.STREAM, at, np.broadcast_to(lane % cols, at.shape[:2])[..., None], value=split
            )
        elif dest is Mem.VALUE:
            at = np.broadcast_to(f["d_addr"] + token, (tiles, real))[..., None]
            lane = ((f["sub"] + tile) * cols)[..., None] + np.arange(cols)
            mem.write(Space.VALUE, at, lane, value=q)
        elif dest is Mem.LOGIT:
            at = f["d_addr"] + group * f["d_stride"] + tile * f["d_step"]
            mem.write(Space.LOGIT, at, np.broadcast_to(row, at.shape), value=q.view(np.uint8))
            q[-1, :, f["cols_last"] :] = -128
            peak = q.max(axis=(0, 2))
            mem.write(Space.MAXIMA, f["slot"] + group[0], row[0], value=peak)
        else:
            raise PotvitError(f"illegal instruction: MATMUL into {dest.name}")
        return None

    def _residual(self, f: dict[str, int], acc: Array, params: dict[str, Array]) -> None:
        mem = self.memories
        tiles, real, _ = acc.shape
        tokens = f["token"] + np.arange(real)
        # The drain reads statistics and old residuals itself, in order with its own writes: to
        # other units these are writes, and no earlier write of its own can still be under way.
        sums = np.array(mem.data[Space.STATISTICS][tokens])
        add = ops.ResidualAdd()
        for j in range(tiles):
            at = f["d_addr"] + np.arange(real) * f["d_stride"] + j * f["d_step"]
            if f["const_old"]:
                if len(self.constants) < real:
                    raise PotvitError("MATMUL takes position constants that no load brought")
                old = np.stack([self.constants.popleft() for _ in range(real)])
            else:
                old = mem.data[Space.RESIDUAL][at]
            p = {name: params[name][j] for name in ("la", "lo", "shift")}
            new = add.compute(acc[j], old, **p)
            mem.write(Space.RESIDUAL, at, value=new)
            if j == 0 and f["stats_init"]:
                sums[:] = 0
            x = new.astype(np.int64) << params["alpha"][j]
            sums += np.stack([x.sum(-1), (x * x).sum(-1)], axis=-1)
        mem.write(Space.STATISTICS, tokens, value=sums)
