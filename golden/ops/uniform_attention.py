"""Uniform 8-bit attention, the comparison without Log-Int-Softmax (executor only)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from golden.ops.rounding import rshr, saturate

RECIPROCAL = 257
RECIPROCAL_BITS = 16


@dataclass(frozen=True, kw_only=True)
class UniformAttention:
    """Attention probabilities as ``code / 255``: needs a divider and multipliers, so no hardware.

    ``code = floor((510*E + S) / (2*S))``, i.e. ``255*E/S`` with halves up; ``acc = sum code*V``
    and ``y = sat8(rshr(257*acc, 16 + shift))``: 257 / 2**16 stands for 1/255 (relative error
    1.5e-5). A row's codes sum to at most ``255 + keys/2``, so ``257*acc`` stays below 2**31 for
    fewer than 130,000 keys.
    """

    def codes(self, e: npt.ArrayLike, s: npt.ArrayLike) -> npt.NDArray[np.uint8]:
        """Return uint8 codes of numerators ``e`` under row sums ``s`` (broadcast)."""
        e, s = np.asarray(e, np.int64), np.asarray(s, np.int64)
        return ((510 * e + s) // (2 * s)).astype(np.uint8)

    def compute(
        self, codes: npt.ArrayLike, v: npt.ArrayLike, shift: int, bits: int = 8
    ) -> npt.NDArray[np.int8]:
        """Return [..., rows, d] of ``bits`` for codes [..., rows, keys], ``v`` [..., keys, d]."""
        acc = np.asarray(codes, np.int64) @ np.asarray(v, np.int64)
        return saturate(rshr(RECIPROCAL * acc, RECIPROCAL_BITS + shift), bits).astype(np.int8)
