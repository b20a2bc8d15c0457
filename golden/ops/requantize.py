"""Power-of-two requantization: accumulator to int8 by a shift per output channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from golden.ops.hardware import hardware
from golden.ops.rounding import rshr, saturate


@dataclass(frozen=True, kw_only=True)
class Requantize:
    """Parameters of the PoT requantizer: ``y = sat(rshr(acc, shift))``.

    ``acc_bits`` is the signed accumulator width, ``out_bits`` the result's. ``shift`` is a signed
    number of ``shift_bits`` bits, one per channel: ``e_y - e_x - e_w`` (P2-ViT, section III).
    """

    acc_bits: int = 32
    out_bits: int = 8
    shift_bits: int = 6

    def compute(self, acc: npt.ArrayLike, shift: npt.ArrayLike) -> npt.NDArray[np.int8]:
        """Return the requantized values; ``acc`` [..., C] and ``shift`` [C] or scalar."""
        return saturate(rshr(acc, shift), self.out_bits).astype(np.int8)

    def create(self, **options: Any) -> Any:
        """Return the hardware that computes the same."""
        return hardware(Requantize)(self, **options)
