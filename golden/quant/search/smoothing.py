"""PoT-aware smoothing: powers of two move range from LayerNorm outputs into the next weights."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from golden.quant.search import pot
from golden.quant.search.observers import ranges
from golden.quant.search.weights import round_nearest

Floats = npt.NDArray[np.float64]

#: Strengths that ``auto`` compares; None is no smoothing.
STRENGTHS = (None, 0.5, 0.65, 0.8, 1.0)
#: A factor is 2**-LIMIT .. 2**LIMIT.
LIMIT = 6
#: Tokens that the comparison runs on.
TOKENS = 1024


def factors(x_max: Floats, w_max: Floats, strength: float) -> npt.NDArray[np.int64]:
    """Return ``log2 c`` [C]: ``c = 2**round(log2(x_max**a / w_max**(1-a)))``, centred on 0.

    ``x_max`` and ``w_max`` [C] are the largest magnitudes of the LayerNorm's output and of the
    next weights' columns (SmoothQuant's formula with P2-ViT's rounding). The median is taken
    out: it would only shift both exponents.
    """
    tiny = 1e-9
    logs = strength * np.log2(np.maximum(x_max, tiny)) - (1 - strength) * np.log2(
        np.maximum(w_max, tiny)
    )
    return np.clip(np.rint(logs - np.median(logs)), -LIMIT, LIMIT).astype(np.int64)


def choose(
    method: str,
    x: Floats,
    weight: Floats,
    bits: int,
    strength: float | str | None,
    class_weight: float = 1.0,
    x_bits: int = 8,
) -> npt.NDArray[np.int64]:
    """Return ``log2 c`` [C] for LayerNorm outputs ``x`` [pictures, tokens, C], ``weight`` [O, C].

    ``strength`` None gives zeros, a number that strength, ``"auto"`` the one of ``STRENGTHS``
    with the least squared error of the next layer's outputs when its inputs (``x_bits``) and
    weights (``bits``, to nearest) are quantized, on ``TOKENS`` of the calibration tokens.
    """
    none = np.zeros(x.shape[-1], np.int64)
    if strength is None:
        return none
    x_max, w_max = np.abs(x).max((0, 1)), np.abs(weight).max(0)
    if isinstance(strength, int | float):
        return factors(x_max, w_max, strength)
    flat, tokens = pot.sample(x, class_weight, TOKENS * x.shape[-1])
    exact = _product(flat, weight)
    best, least = none, np.inf
    for tried in STRENGTHS:
        vector = none if tried is None else factors(x_max, w_max, tried)
        smooth = np.ldexp(flat, -vector)
        values = smooth.reshape(1, -1, 1)
        found, counts = ranges(method, values, x_bits), tokens.repeat(len(vector))
        scale = pot.search(values[0], found, x_bits, weight=counts)
        rows = round_nearest(np.ldexp(weight, vector), bits, np.square(smooth).T @ tokens)
        made = _product(pot.rounded(smooth, scale, x_bits), rows.real)
        error = np.square(made - exact).sum(1) @ tokens
        if error < least:
            best, least = vector, error
    return best


def _product(x: Floats, weight: Floats) -> Floats:
    made = torch.from_numpy(np.ascontiguousarray(x)) @ torch.from_numpy(weight).T
    return np.asarray(made.numpy())
