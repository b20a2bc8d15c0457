"""Integer LayerNorm constants: gamma and beta in fixed point, smoothing folded in."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from golden.graph import ir
from golden.quant.search.linear import in_chunks

Floats = npt.NDArray[np.float64]

#: gamma has at most this many fraction bits (gamma below 2, beta below 2 in an int32). With 14,
#: 0.05 % of the outputs are off exact rounding; 12 gave 0.16 %.
FRACTION_MAX = 14
N_FRACTION = 16


def normalized(x: torch.Tensor, alpha: npt.NDArray[Any]) -> Floats:
    """Return ``(X - mean) / deviation`` of ``X = x << alpha`` in float64, [N, T, C]; 0 if V = 0."""
    factor = torch.from_numpy(2.0 ** alpha.astype(np.float64))

    def step(part: torch.Tensor) -> torch.Tensor:
        wide = part.double() * factor
        centred = wide - wide.mean(-1, keepdim=True)
        power = (centred * centred).mean(-1, keepdim=True)
        return torch.where(power > 0, centred / power.clamp(min=1e-30).sqrt(), 0.0)

    return np.asarray(in_chunks(step, x).numpy())


def layer_norm(
    name: str,
    source: str,
    *,
    alpha: npt.NDArray[Any],
    gamma: Floats,
    beta: Floats,
    smooth: npt.NDArray[np.int64],
    exponent: int,
    bits: int = 8,
) -> ir.LayerNorm:
    """Return the node whose output has ``exponent``; ``gamma`` and ``beta`` are the float ones.

    The output has ``bits``. Both are divided by ``2**smooth``. gamma gets the most fraction bits
    ``f`` (at most 14) that keep it within int16 and beta, at ``-16 - f``, within int32.
    """
    gamma, beta = np.ldexp(gamma, -smooth), np.ldexp(beta, -smooth)
    fraction = FRACTION_MAX
    while (
        np.abs(gamma).max() * 2.0**fraction > (1 << 15) - 1
        or np.abs(beta).max() * 2.0 ** (N_FRACTION + fraction) > (1 << 31) - 1
    ):
        fraction -= 1
    return ir.LayerNorm(
        name=name,
        inputs=(source,),
        output=name,
        alpha=alpha.astype(np.int32),
        gamma=np.floor(np.ldexp(gamma, fraction) + 0.5).astype(np.int16),
        beta=np.floor(np.ldexp(beta, N_FRACTION + fraction) + 0.5).astype(np.int32),
        shift=exponent + N_FRACTION + fraction,
        out_bits=bits,
    )
