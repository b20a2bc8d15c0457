"""Precision-scalable multiply: two multipliers make one 8x8, two 8x4 or four 4x4 products.

Each multiplies a signed byte by a nibble that is signed or not, or its two nibbles by one nibble
each. The hardware's multiply without signs, on offset operands (`hw.array.mac.pe`).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from golden.ops.hardware import hardware


class MacMode(enum.IntEnum):
    """Operand widths of the MAC array: activation bits x weight bits."""

    W8 = 0
    W4 = 1
    W4A4 = 2

    @property
    def products(self) -> int:
        """Products of a lane and cycle: 1, 2 or 4. As many inputs of a lane make a chunk."""
        return 1 << self

    @property
    def weight_bytes(self) -> int:
        """Bytes of weights that a lane takes a cycle: 1, or 2 where it makes four products."""
        return max(1, self.products // 2)


@dataclass(frozen=True, kw_only=True)
class PsMac:
    """Parameters of one processing element: a ``lanes``-long dot product with an accumulator.

    Each lane holds one weight byte. In W8 it multiplies activation ``x_lo`` by the signed byte:
    ``(x_hi*hi << 4) + x_lo*lo`` with ``x_hi = x_lo`` and the low nibble unsigned. In W4 the byte
    holds two signed nibbles that meet two activations: ``x_lo*lo + x_hi*hi``. In W4A4 these
    activations are -8..7, and a second byte of a lane does the same with two more.
    """

    lanes: int = 8
    acc_bits: int = 32

    def compute(
        self, x_lo: npt.ArrayLike, x_hi: npt.ArrayLike, w: npt.ArrayLike, mode: MacMode
    ) -> npt.NDArray[np.int64]:
        """Return the dot product over the last axis (``lanes`` long) of one cycle, exact.

        In W4A4 ``x_lo``, ``x_hi`` and ``w`` have twice as many entries: those of the first weight
        bytes, then those of the second ones.
        """
        x_lo, x_hi = np.asarray(x_lo, np.int64), np.asarray(x_hi, np.int64)
        w = np.asarray(w, np.int64)
        hi = w >> 4
        lo = w & 15
        if mode is MacMode.W8:
            return np.asarray(((x_lo * hi).sum(-1) << 4) + (x_lo * lo).sum(-1))
        return np.asarray((x_lo * ((lo ^ 8) - 8)).sum(-1) + (x_hi * hi).sum(-1))

    def create(self, **options: Any) -> Any:
        """Return the hardware that computes the same."""
        return hardware(PsMac)(self, **options)
