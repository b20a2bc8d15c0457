"""Mean pooling as a rounded sum of tokens: the division goes into the classifier's weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from golden.ops.rounding import fits, rshr, saturate
from golden.ops.shift_attention import ACC_BITS

#: The shifter array adds ``y << (14 - shift)``: attention x V with code ``shift`` for every key.
POOL_SHIFT_MAX = 14


@dataclass(frozen=True, kw_only=True)
class TokenPool:
    """Parameters of the token sum: ``y = sat8(rshr(sum_t x[t], shift))``.

    The result stands for the sum of the tokens at the exponent ``e_x + shift``; ``1/T`` of the
    mean is folded into the weights that read it. ``shift`` is 0..14, and the sum at 14 fraction
    bits, ``128 * T << (14 - shift)``, must fit the shifter array's 24: for ``T`` tokens at least
    ``floor(log2 T) - 1``.
    """

    shift: int

    def bound(self, tokens: int) -> int:
        """The largest magnitude of the shifter array's accumulator over ``tokens`` tokens."""
        return 128 * tokens << (POOL_SHIFT_MAX - self.shift)

    def compute(self, x: npt.ArrayLike) -> npt.NDArray[np.int8]:
        """Return int8 [1, C] of int8 ``x`` [T, C]; ``OverflowError`` past 24 bits."""
        x = np.asarray(x, np.int64)
        acc = (x << (POOL_SHIFT_MAX - self.shift)).sum(0, keepdims=True)
        if not fits(acc, ACC_BITS):
            raise OverflowError(f"the pooled sum exceeds {ACC_BITS} bits")
        return saturate(rshr(acc, POOL_SHIFT_MAX), 8).astype(np.int8)
