"""Adaptive power-of-two search: the only way a scale leaves the quantizer.

Every candidate exponent is judged with the project's own rounding (``rshr``: half up, saturate
after): on values that are integers times a power of two, ``floor(x / 2**e + 1/2)`` in float64 is
that primitive exactly. Window and principle: P2-ViT, adaptive power-of-two rounding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Candidates around the exponent of the observed range: finer by 3 bits to coarser by 1.
WINDOW = (-3, -2, -1, 0, 1)
#: Exponent of a tensor that is zero everywhere.
ZERO_EXPONENT = -7
#: Rows that a search looks at; more change no exponent but cost time.
SEARCH_VALUES = 1 << 18


def levels(x: npt.ArrayLike, exponent: npt.ArrayLike, bits: int = 8) -> Floats:
    """Return the integers (as float64) that ``x`` becomes at ``exponent`` (broadcast)."""
    limit = 1 << (bits - 1)
    scaled = np.ldexp(np.asarray(x, np.float64), -np.asarray(exponent))
    return np.clip(np.floor(scaled + 0.5), -limit, limit - 1)


def rounded(x: npt.ArrayLike, exponent: npt.ArrayLike, bits: int = 8) -> Floats:
    """Return ``x`` after quantization at ``exponent``, in real units."""
    return np.ldexp(levels(x, exponent, bits), np.asarray(exponent))


def centre(amax: npt.ArrayLike, bits: int = 8) -> Ints:
    """Return the exponent nearest to the scale ``amax / (2**(bits-1) - 1)``; zeros give -7."""
    amax = np.asarray(amax, np.float64)
    scale = np.where(amax > 0, amax, 1.0) / ((1 << (bits - 1)) - 1)
    return np.where(amax > 0, np.floor(np.log2(scale) + 0.5), ZERO_EXPONENT).astype(np.int64)


def search(
    x: npt.ArrayLike, amax: npt.ArrayLike, bits: int = 8, weight: npt.ArrayLike | None = None
) -> Ints:
    """Return the exponent of least squared error per group, [G], among ``WINDOW``.

    ``x`` is [values, G] in real units, ``amax`` [G] the range an observer saw; ``weight``
    [values] or [values, 1] scales the squared errors. Ties go to the finer exponent.
    """
    x = np.asarray(x, np.float64)
    middle = centre(amax, bits)
    factor = 1.0 if weight is None else np.asarray(weight, np.float64).reshape(len(x), -1)
    best = middle + WINDOW[0]
    least = np.full(middle.shape, np.inf)
    for offset in WINDOW:
        error = (np.square(rounded(x, middle + offset, bits) - x) * factor).sum(0)
        better = error < least
        best = np.where(better, middle + offset, best)
        least = np.where(better, error, least)
    return best


def thin(x: npt.NDArray[Any], limit: int = SEARCH_VALUES) -> npt.NDArray[Any]:
    """Return every n-th row of ``x`` so that at most ``limit`` values remain (n odd)."""
    step = -(-x.size // limit) | 1
    return x[::step] if x.size > limit else x


def sample(
    x: npt.NDArray[Any], class_weight: float, limit: int = SEARCH_VALUES
) -> tuple[Floats, Floats]:
    """Return rows [M, C] of ``x`` [N, T, C] to judge errors on, and the weight [M] of each.

    All class tokens (the first of each picture, weighing ``class_weight``) and every n-th patch
    token (weighing n).
    """
    first, others = x[:, 0], x[:, 1:].reshape(-1, x.shape[-1])
    kept = thin(others, limit)
    share = len(others) / max(len(kept), 1)
    rows = np.concatenate([first, kept]).astype(np.float64)
    return rows, np.repeat([class_weight, share], [len(first), len(kept)])
