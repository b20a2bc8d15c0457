"""Byte layouts of everything that a program loads: weights, parameters, constants, tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from golden.graph import ir
from golden.ops.psmac import MacMode
from golden.support.errors import PotvitError
from hw.config import Config
from hw.formats.channel import CHANNEL
from hw.formats.norm import NORM_CHANNEL
from hw.lib.numbers import Array, ceil_div, round_up


class Dram:
    """The memory image under construction: sections laid one behind the other.

    With ``shared`` a section that is there already is not laid down again.
    """

    def __init__(self, config: Config, *, shared: bool = False) -> None:
        self._there: dict[bytes, int] | None = {} if shared else None
        self.beat = config.axi_bytes
        self.burst = config.axi_bytes * config.burst_beats
        self._parts: list[bytes] = []
        self.size = 0

    def add(self, data: bytes) -> int:
        """Append ``data`` and return its offset: a multiple of a burst, or of a beat if short."""
        if self._there is not None and data in self._there:
            return self._there[data]
        self.align(self.burst if len(data) >= self.burst else self.beat)
        offset = self.size
        self._parts.append(data)
        self.size += len(data)
        if self._there is not None:
            self._there[data] = offset
        return offset

    def align(self, unit: int) -> None:
        """Pad with zeros up to a multiple of ``unit`` bytes."""
        pad = -self.size % unit
        if pad:
            self._parts.append(bytes(pad))
            self.size += pad

    def image(self) -> bytes:
        """Everything added so far."""
        return b"".join(self._parts)


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

    Each channel is a `CHANNEL`; ``PotvitError`` names what it cannot hold.
    """
    tiles = ceil_div(count, config.cols)
    try:
        packed = CHANNEL.pack(
            count, bias=0 if bias is None else bias, shift=shift, la=la, lo=lo, alpha=alpha
        )
    except ValueError as error:
        raise PotvitError(f"{name!r} needs a {error}") from None
    out = np.zeros((tiles, config.param_words * config.stream_bytes), np.uint8)
    size = config.cols * CHANNEL.size
    padded = np.zeros((tiles * config.cols, CHANNEL.size), np.uint8)
    padded[:count] = packed
    out[:, :size] = padded.reshape(tiles, size)
    return out


@dataclass(frozen=True, kw_only=True)
class Tiles:
    """Weight tiles of one layer in DRAM, ``pitch`` words each: parameters, chunks, padding."""

    offset: int
    count: int
    pitch: int
    chunks: int
    mode: MacMode
    k_last: int
    cols_last: int


def weight_chunks(weight: Array, config: Config, mode: MacMode) -> Array:
    """Chunk bytes uint8 [tiles, chunks * Cn*K] of int8 weights [C, K], zero padded.

    A chunk of 4x4 products is two of 8x4 products, one behind the other.
    """
    rows, inputs = weight.shape
    whole = config.lanes * mode.products
    step = whole // mode.weight_bytes
    tiles, chunks = ceil_div(rows, config.cols), round_up(inputs, whole) // step
    padded = np.zeros((tiles * config.cols, chunks * step), np.int8)
    padded[:rows, :inputs] = weight
    if mode is MacMode.W8:
        order = padded.reshape(tiles, config.cols, chunks, config.lanes).transpose(0, 2, 1, 3)
        return np.ascontiguousarray(order).view(np.uint8).reshape(tiles, -1)
    nibbles = padded.view(np.uint8).reshape(tiles, config.cols, chunks, 2, config.lanes)
    packed = nibbles[..., 0, :] & 15 | (nibbles[..., 1, :] & 15) << 4
    return packed.transpose(0, 2, 1, 3).reshape(tiles, -1)


def add_tiles(dram: Dram, config: Config, weight: Array, mode: MacMode, params: Array) -> Tiles:
    """Put the tiles of ``weight`` [C, K] for ``mode`` and their parameters into ``dram``."""
    chunks = weight_chunks(weight, config, mode)
    data = np.concatenate([params, chunks], axis=1)
    pitch = round_up(data.shape[1], max(config.stream_bytes, config.axi_bytes))
    padded = np.zeros((data.shape[0], pitch), np.uint8)
    padded[:, : data.shape[1]] = data
    step = config.lanes * mode.products
    count = ceil_div(weight.shape[1], step)
    return Tiles(
        offset=dram.add(padded.tobytes()),
        count=data.shape[0],
        pitch=pitch // config.stream_bytes,
        chunks=count,
        mode=mode,
        k_last=weight.shape[1] - (count - 1) * step,
        cols_last=weight.shape[0] - (data.shape[0] - 1) * config.cols,
    )


def norm_words(norm: ir.LayerNorm, config: Config) -> bytes:
    """LayerNorm parameter words, a `NORM_CHANNEL` per channel, zeros up to whole ACT words."""
    count = norm.gamma.shape[0]
    packed = np.zeros((round_up(count, config.act_bytes), NORM_CHANNEL.size), np.uint8)
    packed[:count] = NORM_CHANNEL.pack(count, gamma=norm.gamma, alpha=norm.alpha, beta=norm.beta)
    return packed.tobytes()


def constant_rows(constant: Array, config: Config, tile: int, first: int, count: int) -> bytes:
    """Position constants of one tile and ``count`` tokens from ``first``, in drain order."""
    lo = tile * config.cols
    rows = np.zeros((count, config.cols), "<i2")
    part = constant[first : first + count, lo : lo + config.cols]
    rows[:, : part.shape[1]] = part
    return rows.tobytes()


def pad_patch_rows(weight: Array, patch: int, config: Config) -> Array:
    """Spread the K axis of [C, patch * row] so that each row of a patch fills whole ACT words.

    A row of a patch arrives by itself, with zeros behind it up to the end of its last word.
    """
    rows = weight.reshape(weight.shape[0], patch, -1)
    pad = -rows.shape[2] % config.act_bytes
    return np.pad(rows, ((0, 0), (0, 0), (0, pad))).reshape(weight.shape[0], -1) if pad else weight


def pad_heads(weight: Array, heads: int, dim: int, padded: int) -> Array:
    """Spread the K axis of [C, heads*dim] so that heads lie ``padded`` inputs apart."""
    if dim == padded:
        return weight
    out = np.zeros((weight.shape[0], heads, padded), weight.dtype)
    out[:, :, :dim] = weight.reshape(weight.shape[0], heads, dim)
    return out.reshape(weight.shape[0], -1)[:, : heads * padded - (padded - dim)]
