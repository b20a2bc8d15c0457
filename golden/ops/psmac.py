"""Precision-scalable multiply: two multipliers make one 8x8 or two 8x4 products.

Each multiplies a signed byte by a nibble that is signed or not. The hardware's multiply 8 by 4 bits
without signs, on offset operands (`hw.array.mac.pe`).
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


@dataclass(frozen=True, kw_only=True)
class PsMac:
    """Parameters of one processing element: a ``lanes``-long dot product with an accumulator.

    Each lane holds one weight byte. In W8 it multiplies activation ``x_lo`` by the signed byte:
    ``(x_hi*hi << 4) + x_lo*lo`` with ``x_hi = x_lo`` and the low nibble unsigned. In W4 the byte
    holds two signed nibbles that meet two activations: ``x_lo*lo + x_hi*hi``.
    """

    lanes: int = 8
    acc_bits: int = 32

    def compute(
        self, x_lo: npt.ArrayLike, x_hi: npt.ArrayLike, w: npt.ArrayLike, mode: MacMode
    ) -> npt.NDArray[np.int64]:
        """Return the dot product over the last axis (``lanes`` long) of one cycle, exact."""
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
