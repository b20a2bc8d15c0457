"""Byte layouts of everything that a program loads: weights, parameters, constants, tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from golden.graph import ir
from golden.support.errors import PotvitError
from hw.config import Config
from hw.isa.instruction import Mem
from hw.lib.numbers import Array, ceil_div, round_up

PAGE = 4096


class Dram:
    """The memory image under construction: sections laid one behind the other."""

    def __init__(self, config: Config) -> None:
        self.beat = config.axi_bytes
        self.burst = config.axi_bytes * config.burst_beats
        self._parts: list[bytes] = []
        self.size = 0

    def add(self, data: bytes) -> int:
        """Append ``data`` and return its offset: a multiple of a burst, or of a beat if short."""
        self.align(self.burst if len(data) >= self.burst else self.beat)
        offset = self.size
        self._parts.append(data)
        self.size += len(data)
        return offset

    def align(self, unit: int) -> None:
        """Pad with zeros up to a multiple of ``unit`` bytes."""
        pad = -self.size % unit
        if pad:
            self._parts.append(bytes(pad))
            self.size += pad

    def reserve(self, size: int) -> int:
        """Page-aligned offset of ``size`` bytes that the image itself does not contain."""
        offset = round_up(self.size, PAGE)
        self.size = offset + size
        return offset

    def image(self) -> bytes:
        """Everything added so far."""
        return b"".join(self._parts)


def word_bytes(memory: Mem, config: Config) -> int:
    """Bytes of one word of a memory as LOAD and STORE count them (docs/architecture.md)."""
    return {
        Mem.ACT: config.rows * config.act_bytes,
        Mem.STREAM: config.stream_bytes,
        Mem.VALUE: config.head_lanes,
        Mem.LOGIT: config.rows * config.cols,
        Mem.RESIDUAL: config.cols,
        Mem.OUT: 4 * config.cols,
        Mem.NORM: config.norm_bytes,
        Mem.GELU: config.cols,  # one byte into every column's copy
        Mem.CONST: config.const_bytes,
    }[memory]


def load_beats(words: int, word_bytes: int, config: Config) -> int:
    """Beats of a load of ``words`` words: small words share a beat."""
    return ceil_div(words * word_bytes, config.axi_bytes)


def parameters(
    config: Config,
    count: int,
    *,
    bias: Array | None = None,
    shift: Array | int = 0,
    la: Array | int = 0,
    lo: Array | int = 0,
    alpha: Array | int = 0,
    name: str = "parameters",
) -> Array:
    """Parameter bytes uint8 [tiles, param_words * Cn*K] of ``count`` output channels.

    Per channel: bias int32, shift int8 (6 bits used), la, lo (0..31) and alpha (0..3).
    """
    tiles = ceil_div(count, config.cols)
    shift = np.broadcast_to(np.asarray(shift, np.int64), (count,))
    align = [np.broadcast_to(np.asarray(a, np.int64), (count,)) for a in (la, lo)]
    if shift.min() < -32 or shift.max() > 31:
        raise PotvitError(f"{name!r}: requantization shifts outside -32..31")
    if min(a.min() for a in align) < 0 or max(a.max() for a in align) > 31:
        raise PotvitError(f"{name!r}: alignment shifts outside 0..31")
    packed = np.zeros((tiles * config.cols, 8), np.uint8)
    if bias is not None:
        packed[:count, :4] = bias.astype("<i4")[:, None].view(np.uint8)
    packed[:count, 4] = shift.astype(np.int8).view(np.uint8)
    packed[:count, 5], packed[:count, 6] = align
    packed[:count, 7] = np.asarray(alpha)
    out = np.zeros((tiles, config.param_words * config.stream_bytes), np.uint8)
    out[:, : config.cols * 8] = packed.reshape(tiles, -1)
    return out


@dataclass(frozen=True, kw_only=True)
class Tiles:
    """Weight tiles of one layer in DRAM, ``pitch`` words each: parameters, chunks, padding."""

    offset: int
    count: int
    pitch: int
    chunks: int
    w4: bool
    k_last: int
    cols_last: int


def weight_chunks(weight: Array, config: Config, w4: bool) -> Array:
    """Chunk bytes uint8 [tiles, chunks * Cn*K] of int8 weights [C, K], zero padded."""
    rows, inputs = weight.shape
    step = config.lanes * (2 if w4 else 1)
    tiles, chunks = ceil_div(rows, config.cols), ceil_div(inputs, step)
    padded = np.zeros((tiles * config.cols, chunks * step), np.int8)
    padded[:rows, :inputs] = weight
    if not w4:
        order = padded.reshape(tiles, config.cols, chunks, config.lanes).transpose(0, 2, 1, 3)
        return np.ascontiguousarray(order).view(np.uint8).reshape(tiles, -1)
    nibbles = padded.view(np.uint8).reshape(tiles, config.cols, chunks, 2, config.lanes)
    packed = nibbles[..., 0, :] & 15 | (nibbles[..., 1, :] & 15) << 4
    return packed.transpose(0, 2, 1, 3).reshape(tiles, -1)


def add_tiles(dram: Dram, config: Config, weight: Array, bits: int, params: Array) -> Tiles:
    """Put the tiles of ``weight`` [C, K], ``bits`` wide, and their parameters into ``dram``."""
    w4 = bits == 4
    chunks = weight_chunks(weight, config, w4)
    data = np.concatenate([params, chunks], axis=1)
    pitch = round_up(data.shape[1], max(config.stream_bytes, config.axi_bytes))
    padded = np.zeros((data.shape[0], pitch), np.uint8)
    padded[:, : data.shape[1]] = data
    step = config.lanes * (2 if w4 else 1)
    count = ceil_div(weight.shape[1], step)
    return Tiles(
        offset=dram.add(padded.tobytes()),
        count=data.shape[0],
        pitch=pitch // config.stream_bytes,
        chunks=count,
        w4=w4,
        k_last=weight.shape[1] - (count - 1) * step,
        cols_last=weight.shape[0] - (data.shape[0] - 1) * config.cols,
    )


def norm_words(norm: ir.LayerNorm, config: Config) -> bytes:
    """LayerNorm parameter words: per channel gamma int16, alpha uint8, 0, beta int32."""
    count = norm.gamma.shape[0]
    packed = np.zeros((round_up(count, config.act_bytes), 8), np.uint8)
    packed[:count, 0:2] = norm.gamma.astype("<i2")[:, None].view(np.uint8)
    packed[:count, 2] = norm.alpha
    packed[:count, 4:8] = norm.beta.astype("<i4")[:, None].view(np.uint8)
    return packed.tobytes()


def constant_rows(constant: Array, config: Config, tile: int, first: int, count: int) -> bytes:
    """Position constants of one tile and ``count`` tokens from ``first``, in drain order."""
    lo = tile * config.cols
    rows = np.zeros((count, config.cols), "<i2")
    part = constant[first : first + count, lo : lo + config.cols]
    rows[:, : part.shape[1]] = part
    return rows.tobytes()


def pad_heads(weight: Array, heads: int, dim: int, padded: int) -> Array:
    """Spread the K axis of [C, heads*dim] so that heads lie ``padded`` inputs apart."""
    if dim == padded:
        return weight
    out = np.zeros((weight.shape[0], heads, padded), weight.dtype)
    out[:, :, :dim] = weight.reshape(weight.shape[0], heads, dim)
    return out.reshape(weight.shape[0], -1)[:, : heads * padded - (padded - dim)]
