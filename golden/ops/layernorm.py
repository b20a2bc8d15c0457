"""Integer LayerNorm over power-of-two-factor (PTF) tokens: one reciprocal root per token."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from golden.ops.hardware import hardware
from golden.ops.rounding import rshr, saturate

ALPHA_MAX = 3
VARIANCE_BITS = 48
MANTISSA_BITS = 24
ROOT_BITS = 16
FRACTION_BITS = 16


def reciprocal_root(variance: int) -> tuple[int, int]:
    """Return ``(r, k)`` with ``rshr(D * r, k) ~ D / sqrt(variance) * 2**16``.

    ``V << s`` (``s`` even) is brought into [2**46, 2**48); its top 24 bits are ``m``;
    ``r17`` is the largest 17-bit number with ``r17**2 * m <= 2**56``;
    ``r = min(65535, (r17 + 1) >> 1)`` and ``k = 23 - s/2`` (0..23). ``V = 0`` gives ``(0, 0)``.
    """
    if variance == 0:
        return 0, 0
    if variance < 0 or variance >= 1 << VARIANCE_BITS:
        raise OverflowError(f"variance {variance} outside 0..2**{VARIANCE_BITS}-1")
    s = (VARIANCE_BITS - variance.bit_length()) & ~1
    m = (variance << s) >> (VARIANCE_BITS - MANTISSA_BITS)
    r17 = min((1 << 17) - 1, math.isqrt((1 << 56) // m))
    return min((1 << ROOT_BITS) - 1, (r17 + 1) >> 1), 23 - s // 2


@dataclass(frozen=True, kw_only=True)
class LayerNorm:
    """Parameters of the integer LayerNorm over ``channels`` channels.

    With ``X = q << alpha`` (alpha 0..3): ``S1 = sum X``, ``S2 = sum X**2``,
    ``V = C*S2 - S1**2``, ``D = C*X - S1``, ``n = rshr(D*r, k)`` (16 fraction bits) and
    ``y = sat8(rshr(n*gamma + beta, t))``; gamma int16, beta int32 at exponent ``-16 - f`` where
    gamma has ``f`` fraction bits. No eps; ``V = 0`` leaves beta alone (FQ-ViT, section 3.1).
    """

    channels: int

    def statistics(
        self, q: npt.ArrayLike, alpha: npt.ArrayLike
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return ``S1`` and ``S2`` of [..., C] int8 tokens."""
        x = np.asarray(q, np.int64) << np.asarray(alpha, np.int64)
        return x.sum(-1), (x * x).sum(-1)

    def compute(
        self,
        q: npt.ArrayLike,
        alpha: npt.ArrayLike,
        gamma: npt.ArrayLike,
        beta: npt.ArrayLike,
        shift: int,
        bits: int = 8,
    ) -> npt.NDArray[np.int8]:
        """Return ``bits`` wide [..., C] from residual ``q`` int8 [..., C]; ``shift`` is ``t``."""
        q = np.asarray(q, np.int64)
        if q.shape[-1] != self.channels:
            raise ValueError(f"expected {self.channels} channels, got {q.shape[-1]}")
        x = q << np.asarray(alpha, np.int64)
        s1, s2 = self.statistics(q, alpha)
        variance = self.channels * s2 - s1 * s1
        roots = np.array([reciprocal_root(int(v)) for v in variance.ravel()], np.int64)
        r, k = (roots[:, i].reshape(variance.shape)[..., None] for i in (0, 1))
        d = self.channels * x - s1[..., None]
        scaled = rshr(d * r, k) * np.asarray(gamma, np.int64) + np.asarray(beta, np.int64)
        return saturate(rshr(scaled, shift), bits).astype(np.int8)

    def create(self, **options: Any) -> Any:
        """Return the hardware that computes the same."""
        return hardware(LayerNorm)(self, **options)
