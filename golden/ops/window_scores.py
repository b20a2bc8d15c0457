"""Attention logits inside a window: relative position bias and mask, one rounding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from golden.ops.rounding import fits, rshr, saturate
from golden.ops.softmax import MASKED

#: Signed bits of the accumulator with the aligned bias.
SCORE_BITS = 32


@dataclass(frozen=True, kw_only=True)
class WindowScores:
    """Parameters of the logits of one head: ``sat8(rshr(Q K^T + (bias << bias_shift), shift))``.

    The bias (int8, one value per query and key of a window) enters the accumulator before its
    only rounding. ``masks``: unmasked logits saturate at -127, and -128 stands for a key that the
    query must not see. ``bias_shift`` is 0 or more (``ValueError``): the bias is never finer than
    the products. Where it equals ``shift``, ``rshr(acc, shift) + bias`` is the same number.
    """

    shift: int
    bias_shift: int = 0
    masks: bool = False

    def __post_init__(self) -> None:
        """Refuse a bias finer than the products."""
        if self.bias_shift < 0:
            raise ValueError(f"bias shift {self.bias_shift} is negative")

    def compute(
        self, q: npt.ArrayLike, k: npt.ArrayLike, bias: npt.ArrayLike, masked: npt.ArrayLike
    ) -> npt.NDArray[np.int8]:
        """Return int8 [..., n, n] of int8 ``q`` and ``k`` [..., n, d].

        ``bias`` broadcasts to the result, and so does ``masked`` (bool), which is looked at only
        where the windows mask. Raises ``OverflowError`` past 32 bits.
        """
        q, k = np.asarray(q, np.int64), np.asarray(k, np.int64)
        acc = q @ k.swapaxes(-1, -2) + (np.asarray(bias, np.int64) << self.bias_shift)
        if not fits(acc, SCORE_BITS):
            raise OverflowError(f"a logit's accumulator exceeds {SCORE_BITS} bits")
        y = saturate(rshr(acc, self.shift), 8)
        if self.masks:
            y = np.where(masked, MASKED, np.maximum(y, MASKED + 1))
        return y.astype(np.int8)
