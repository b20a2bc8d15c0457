"""Where the drain puts the sums of a MATMUL: the only place that knows its addresses.

A destination object says where a tensor lies. ``fields`` aims an instruction at it; ``writes``
reads from an instruction which words it may touch, ``index`` where each number of each row goes.
The rows of the table in docs/architecture.md, MATMUL, in the same order.

Arrays of ``index`` are [tiles, tokens, ...], for tiles 0.. and the real tokens 0.. of an
instruction.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hw.config import Config
from hw.formats.memories import Access, Space
from hw.isa.payload import Matmul, Mem
from hw.lib.numbers import Array


def real_tokens(f: Matmul, config: Config) -> int:
    """Rows of all groups that hold a token."""
    return (f.groups - 1) * config.rows + f.rows_last


def _last_uniform(f: Matmul) -> int:
    """Address of the last group and tile where both move it evenly."""
    return f.d_addr + (f.groups - 1) * f.d_stride + (f.tiles - 1) * f.d_step


def _tiles(f: Matmul) -> Array:
    return np.arange(f.tiles)[:, None]


def _tokens(f: Matmul, config: Config) -> Array:
    return np.arange(real_tokens(f, config))[None, :]


class Destination(ABC):
    """A tensor's place in one memory."""

    mem: ClassVar[Mem]

    @abstractmethod
    def fields(self, token: int, tile: int, config: Config) -> dict[str, Any]:
        """Fields of an instruction whose first row is ``token`` and first tile ``tile``."""

    @staticmethod
    @abstractmethod
    def writes(f: Matmul, config: Config) -> tuple[Access, ...]:
        """Every range of words that ``f`` may write."""

    @staticmethod
    @abstractmethod
    def index(f: Matmul, config: Config) -> tuple[Array, ...]:
        """Word, then place within the word, of every number (one group of axes per word part)."""


@dataclass(frozen=True, kw_only=True)
class Act(Destination):
    """Activations: ``stride`` words per row group from word ``base``, in granules of Cn bytes."""

    mem = Mem.ACT
    base: int
    stride: int

    def fields(self, token: int, tile: int, config: Config) -> dict[str, Any]:
        """As `Destination.fields`; ``token`` begins a row group."""
        share = config.tile_act_granules
        at = (self.base + token // config.rows * self.stride) * share
        return {
            "dest": self.mem, "d_addr": at + tile, "d_stride": self.stride * share, "d_step": 1,
        }  # fmt: skip

    @staticmethod
    def writes(f: Matmul, config: Config) -> tuple[Access, ...]:
        """As `Destination.writes`."""
        share = config.tile_act_granules
        return (Access(Space.ACT, f.d_addr // share, _last_uniform(f) // share + 1),)

    @staticmethod
    def index(f: Matmul, config: Config) -> tuple[Array, ...]:
        """Word, bank, byte."""
        token, share = _tokens(f, config), config.tile_act_granules
        at = f.d_addr + token // config.rows * f.d_stride + _tiles(f) * f.d_step
        lane = (at % share * config.cols)[..., None] + np.arange(config.cols)
        bank = np.broadcast_to(token % config.rows, at.shape)[..., None]
        return (at // share)[..., None], bank, lane


@dataclass(frozen=True, kw_only=True)
class Key(Destination):
    """Keys in STREAM: ``stride`` words per Cn keys, key 0 in lane 0 of word ``base``."""

    mem = Mem.STREAM
    base: int
    stride: int

    def fields(self, token: int, tile: int, config: Config) -> dict[str, Any]:
        """As `Destination.fields`."""
        step = config.cols // config.lanes
        block, lane = divmod(token, config.cols)
        return {
            "dest": self.mem, "d_addr": self.base + block * self.stride + tile * step,
            "d_stride": self.stride, "d_step": step, "sub": lane,
        }  # fmt: skip

    @staticmethod
    def writes(f: Matmul, config: Config) -> tuple[Access, ...]:
        """As `Destination.writes`."""
        blocks = (f.sub + real_tokens(f, config) - 1) // config.cols
        last = f.d_addr + blocks * f.d_stride + (f.tiles - 1) * f.d_step
        return (Access(Space.STREAM, f.d_addr, last + config.cols // config.lanes),)

    @staticmethod
    def index(f: Matmul, config: Config) -> tuple[Array, ...]:
        """Word and column, for each K bytes of a row."""
        lane = f.sub + _tokens(f, config)
        at = f.d_addr + lane // config.cols * f.d_stride + _tiles(f) * f.d_step
        column = np.broadcast_to(lane % config.cols, at.shape)[..., None]
        return at[..., None] + np.arange(config.cols // config.lanes), column


@dataclass(frozen=True, kw_only=True)
class Value(Destination):
    """Values: token 0 at ``base``, D channels each."""

    mem = Mem.VALUE
    base: int

    def fields(self, token: int, tile: int, config: Config) -> dict[str, Any]:
        """As `Destination.fields`."""
        return {"dest": self.mem, "d_addr": self.base + token, "sub": tile}

    @staticmethod
    def writes(f: Matmul, config: Config) -> tuple[Access, ...]:
        """As `Destination.writes`."""
        return (Access(Space.VALUE, f.d_addr, f.d_addr + real_tokens(f, config)),)

    @staticmethod
    def index(f: Matmul, config: Config) -> tuple[Array, ...]:
        """Token and channel."""
        token = _tokens(f, config)
        at = np.broadcast_to(f.d_addr + token, (f.tiles, token.size))[..., None]
        return at, ((f.sub + _tiles(f)) * config.cols)[..., None] + np.arange(config.cols)


@dataclass(frozen=True, kw_only=True)
class Logit(Destination):
    """Logits of one row group from word ``base`` on, their row maxima in ``slot``."""

    mem = Mem.LOGIT
    base: int
    slot: int

    def fields(self, token: int, tile: int, config: Config) -> dict[str, Any]:
        """As `Destination.fields`; tiles of one group, whichever, begin at ``base``."""
        return {
            "dest": self.mem, "d_addr": self.base + tile, "d_step": 1, "slot": self.slot,
            "group_outer": True,
        }  # fmt: skip

    @staticmethod
    def writes(f: Matmul, config: Config) -> tuple[Access, ...]:
        """As `Destination.writes`."""
        return (
            Access(Space.LOGIT, f.d_addr, _last_uniform(f) + 1),
            Access(Space.MAXIMA, f.slot, f.slot + f.groups),
        )

    @staticmethod
    def index(f: Matmul, config: Config) -> tuple[Array, ...]:
        """Word and bank of each row of Cn."""
        token = _tokens(f, config)
        at = f.d_addr + token // config.rows * f.d_stride + _tiles(f) * f.d_step
        return at, np.broadcast_to(token % config.rows, at.shape)


@dataclass(frozen=True, kw_only=True)
class Residual(Destination):
    """The residual stream: ``stride`` words a token, token 0 at ``base`` (also a negative one)."""

    mem = Mem.RESIDUAL
    base: int
    stride: int

    def fields(self, token: int, tile: int, config: Config) -> dict[str, Any]:
        """As `Destination.fields`; statistics begin with tile 0."""
        return {
            "dest": self.mem, "d_addr": self.base + token * self.stride + tile,
            "d_stride": self.stride, "d_step": 1, "token": token, "stats_init": tile == 0,
        }  # fmt: skip

    @staticmethod
    def writes(f: Matmul, config: Config) -> tuple[Access, ...]:
        """As `Destination.writes`; what the adder reads is in order with what it writes."""
        tokens = real_tokens(f, config)
        last = f.d_addr + (tokens - 1) * f.d_stride + (f.tiles - 1) * f.d_step
        return (
            Access(Space.RESIDUAL, f.d_addr, last + 1),
            Access(Space.STATISTICS, f.token, f.token + tokens),
        )

    @staticmethod
    def index(f: Matmul, config: Config) -> tuple[Array, ...]:
        """Word of each row of Cn."""
        return (f.d_addr + _tokens(f, config) * f.d_stride + _tiles(f) * f.d_step,)


@dataclass(frozen=True, kw_only=True)
class Out(Destination):
    """Sums of the first row, Cn int32 a word, tile 0 at ``base`` (also a negative one)."""

    mem = Mem.OUT
    base: int

    def fields(self, token: int, tile: int, config: Config) -> dict[str, Any]:
        """As `Destination.fields`."""
        return {"dest": self.mem, "d_addr": self.base + tile, "d_step": 1}

    @staticmethod
    def writes(f: Matmul, config: Config) -> tuple[Access, ...]:
        """As `Destination.writes`."""
        return (Access(Space.OUT, f.d_addr, f.d_addr + f.tiles),)

    @staticmethod
    def index(f: Matmul, config: Config) -> tuple[Array, ...]:
        """Word of each tile."""
        return (f.d_addr + np.arange(f.tiles),)


DESTINATIONS: dict[Mem, type[Destination]] = {
    kind.mem: kind for kind in (Act, Key, Value, Logit, Residual, Out)
}
