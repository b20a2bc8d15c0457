"""The integer LayerNorm on a torch device, carried in float64 below 2**53."""

from __future__ import annotations

import math

import numpy as np
import torch

from golden.execute.gemm import FLOAT64_EXACT, require_bits
from golden.execute.narrow import sat8
from golden.graph import ir
from golden.ops.layernorm import ALPHA_MAX, MANTISSA_BITS, VARIANCE_BITS
from golden.support.errors import PotvitError

#: Signed widths: D = C*X - S1, the normalised value n and n*gamma + beta.
D_BITS = 23
NORMAL_BITS = 23
SCALED_BITS = 40


def reciprocal_roots(variance: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """``golden.ops.layernorm.reciprocal_root`` of int64 variances below 2**48, elementwise."""
    v = variance.clamp(min=1)
    # A float64 holds v exactly, so its binary exponent is v's bit length.
    bits = torch.frexp(v.double()).exponent.long()
    s = (VARIANCE_BITS - bits) & ~1
    m = (v << s) >> (VARIANCE_BITS - MANTISSA_BITS)
    quotient = torch.div(torch.full_like(m, 1 << 56), m, rounding_mode="floor")
    r = quotient.double().sqrt().long()
    r = torch.where(r * r > quotient, r - 1, r)
    r = torch.where((r + 1) * (r + 1) <= quotient, r + 1, r)
    r17 = r.clamp(max=(1 << 17) - 1)
    r16 = ((r17 + 1) >> 1).clamp(max=(1 << 16) - 1)
    zero = variance == 0
    return r16.masked_fill(zero, 0), (23 - (s >> 1)).masked_fill(zero, 0)


def normalize(q: torch.Tensor, alpha: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ``n`` (16 fraction bits, float64 [..., C]) of tokens ``q``, and ``1/deviation``.

    ``alpha`` [C] float64 are the channels' powers of two, ``2**a``; the second result, [..., 1],
    is the root that multiplied ``X - mean``: ``n = (X - mean) * root * 2**16``, rounded.
    """
    channels = q.shape[-1]
    x = q.to(torch.float64, copy=True).mul_(alpha)
    s1 = x.sum(-1, keepdim=True)
    s2 = (x * x).sum(-1, keepdim=True)
    r, k = reciprocal_roots((channels * s2 - s1 * s1).long())
    # 2**-k built from its bits: exact whatever the library's pow does.
    factor = ((1023 - k) << 52).view(torch.float64).mul_(r)
    n = x.mul_(channels).sub_(s1).mul_(factor).add_(0.5).floor_()
    return n, factor.mul_(channels * 2.0**-16)


class LayerNorm:
    """``golden.ops.LayerNorm`` of int8 [B, T, C]; widths are proven at construction.

    Attributes:
        gamma, beta: float64 [C], scaled by 2**-shift, ``beta`` with the rounding half.
        bits: the width of the result.
    """

    def __init__(self, node: ir.LayerNorm, device: torch.device) -> None:
        channels = len(node.alpha)
        gamma, beta = node.gamma.astype(np.int64), node.beta.astype(np.int64)
        if node.alpha.min() < 0 or node.alpha.max() > ALPHA_MAX:
            raise PotvitError(f"{node.name}: alpha outside 0..{ALPHA_MAX}")
        if np.abs(gamma).max() >= 1 << 15:
            raise PotvitError(f"{node.name}: gamma exceeds 16 bits")
        x = 128 << ALPHA_MAX
        require_bits(f"{node.name}: variance", channels * channels * x * x, VARIANCE_BITS + 1)
        # |C*X - S1| is a sum of C - 1 differences of two X, whose integers are 255 apart at most.
        require_bits(f"{node.name}: difference", (channels - 1) * (255 << ALPHA_MAX), D_BITS)
        # |D/sqrt(V)| <= sqrt(C-1); r is within 2**-15 of the true root, so one more bit is ample.
        normal = (math.isqrt(channels) + 1) << 16
        require_bits(f"{node.name}: normalised value", normal, NORMAL_BITS)
        scaled = int((normal * np.abs(gamma) + np.abs(beta)).max())
        require_bits(f"{node.name}: scaled value", scaled, SCALED_BITS)
        assert scaled + (1 << max(node.shift, 0)) < FLOAT64_EXACT

        def row(values: np.ndarray) -> torch.Tensor:
            return torch.tensor(values, dtype=torch.float64, device=device)

        self.bits = node.out_bits
        self._alpha = row(2.0 ** node.alpha.astype(np.float64))
        # Powers of two scale exactly; 0.5 is the rounding half after the shift by t.
        self.gamma = row(gamma * 2.0**-node.shift)
        self.beta = row(beta * 2.0**-node.shift + 0.5)

    def __call__(self, q: torch.Tensor) -> torch.Tensor:
        """Return int8 [..., C] of the int8 residual."""
        n, _ = normalize(q, self._alpha)
        y = n.mul_(self.gamma).add_(self.beta).floor_()
        return sat8(y, self.bits)
