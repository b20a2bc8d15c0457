"""Attention x V on shifters: log2 codes replace every multiplication."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from golden.ops.hardware import hardware
from golden.ops.rounding import fits, rshr, saturate
from golden.ops.softmax import AttnFormat

ACC_BITS = 24
HALF_STEP = 181


@dataclass(frozen=True, kw_only=True)
class ShiftAttention:
    """Parameters of the shifter array.

    4-bit codes: ``acc = sum V << (14 - code)``, ``y = sat8(rshr(acc, 14 + shift))``. Half-step
    codes: ``V' = rshr(181*V, 8)`` stands in for ``V`` where the code is odd,
    ``acc = sum (V or V') << (15 - (code >> 1))``, ``y = sat8(rshr(acc, 15 + shift))``. The zero
    code adds nothing. ``acc`` fits 24 bits for any row that LogIntSoftmax makes.
    """

    fmt: AttnFormat = AttnFormat.LOG2

    def compute(
        self, codes: npt.ArrayLike, v: npt.ArrayLike, shift: int, bits: int = 8
    ) -> npt.NDArray[np.int8]:
        """Return [..., rows, d] of ``bits`` for codes [..., rows, keys], ``v`` [..., keys, d]."""
        codes, v = np.asarray(codes, np.int64), np.asarray(v, np.int64)
        zero, point = self.fmt.zero_code, self.fmt.fraction_bits
        steps = np.minimum(codes, zero - 1) >> (self.fmt is AttnFormat.HALF)
        weight = np.where(codes == zero, 0, 1 << (point - steps))
        if self.fmt is AttnFormat.LOG2:
            acc = weight @ v
        else:
            odd = codes & 1
            acc = (weight * (1 - odd)) @ v + (weight * odd) @ rshr(HALF_STEP * v, 8)
        if not fits(acc, ACC_BITS):
            raise OverflowError(f"attention x V exceeds {ACC_BITS} bits")
        return saturate(rshr(acc, point + shift), bits).astype(np.int8)

    def create(self, **options: Any) -> Any:
        """Return the hardware that computes the same."""
        return hardware(ShiftAttention)(self, **options)
