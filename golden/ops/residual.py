"""Residual addition with per-channel power-of-two exponents (PTF), rounded once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from golden.ops.hardware import hardware
from golden.ops.rounding import fits, rshr, saturate


@dataclass(frozen=True, kw_only=True)
class ResidualAdd:
    """Parameters of the residual adder: ``y = sat8(rshr((acc << la) + (old << lo), shift))``.

    ``acc`` is the raw accumulator of the projection (never requantized first), ``old`` the
    residual (int8) or the position constant (int16). ``la`` and ``lo`` (0..31, per channel) align
    both to the finer of their exponents; ``shift`` rounds once into ``e_base + a_c``.
    """

    sum_bits: int = 32
    old_bits: int = 16
    align_bits: int = 5
    shift_bits: int = 6

    def compute(
        self,
        acc: npt.ArrayLike,
        old: npt.ArrayLike,
        la: npt.ArrayLike,
        lo: npt.ArrayLike,
        shift: npt.ArrayLike,
    ) -> npt.NDArray[np.int8]:
        """Return the new residual int8; all [..., C]. Raises ``OverflowError`` past 32 bits."""
        acc = np.asarray(acc, np.int64) << np.asarray(la, np.int64)
        total = acc + (np.asarray(old, np.int64) << np.asarray(lo, np.int64))
        if not (fits(acc, self.sum_bits) and fits(total, self.sum_bits)):
            raise OverflowError(f"aligned residual sum exceeds {self.sum_bits} bits")
        return saturate(rshr(total, shift), 8).astype(np.int8)

    def create(self, **options: Any) -> Any:
        """Return the hardware that computes the same."""
        return hardware(ResidualAdd)(self, **options)
