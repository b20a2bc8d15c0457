"""Observers: what range a tensor has. They feed ``pot.search``; no float scale leaves them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from golden.quant.search import pot

METHODS = ("minmax", "ema", "percentile", "omse")
EMA_MOMENTUM = 0.9
PERCENTILE = 99.99
#: Scales that omse tries, as shares of the min-max scale (FQ-ViT's 0.01 steps are finer than
#: the octaves that follow).
OMSE_SHARES = tuple(1.0 - 0.05 * i for i in range(18))


def ranges(method: str, x: npt.NDArray[Any], bits: int = 8) -> npt.NDArray[np.float64]:
    """Return the observed range [G] of ``x`` [pictures, values, G] by ``method``.

    ``minmax``: largest magnitude; ``ema``: moving average over pictures of their largest
    magnitudes; ``percentile``: the 99.99th of magnitudes; ``omse``: 127 times the float scale of
    least squared error. ``ValueError`` for another method.
    """
    x = np.abs(np.asarray(x, np.float64)) if method != "omse" else np.asarray(x, np.float64)
    if method == "minmax":
        return np.asarray(x.max((0, 1)))
    if method == "ema":
        average = x[0].max(0)
        for picture in x[1:]:
            average = EMA_MOMENTUM * average + (1 - EMA_MOMENTUM) * picture.max(0)
        return np.asarray(average)
    flat = pot.thin(x.reshape(-1, x.shape[-1]))
    if method == "percentile":
        return np.asarray(np.percentile(flat, PERCENTILE, axis=0, method="higher"))
    if method == "omse":
        return _least_error(flat, np.abs(x).max((0, 1)), bits)
    raise ValueError(f"observer {method!r} is none of {', '.join(METHODS)}")


def exponents(
    method: str,
    x: npt.NDArray[Any],
    groups: int = 1,
    class_weight: float = 1.0,
    bits: int = 8,
) -> npt.NDArray[np.int64]:
    """Return exponents [groups] for ``x`` [N, T, C] in real units: observe, then search.

    The integers have ``bits``; the channels form equal ``groups``; errors on the class token count
    ``class_weight`` times.
    """
    n, tokens, channels = x.shape
    split = x.reshape(n, tokens, groups, channels // groups).swapaxes(2, 3)
    found = ranges(method, split.reshape(n, -1, groups), bits)
    rows, weight = pot.sample(x, class_weight)
    values = rows.reshape(len(rows), groups, -1).swapaxes(1, 2).reshape(-1, groups)
    return pot.search(values, found, bits, weight=np.repeat(weight, channels // groups))


def _least_error(
    flat: npt.NDArray[np.float64], amax: npt.NDArray[np.float64], bits: int
) -> npt.NDArray[np.float64]:
    limit = 1 << (bits - 1)
    best, least = amax.copy(), np.full(amax.shape, np.inf)
    for share in OMSE_SHARES:
        scale = np.where(amax > 0, amax * share / (limit - 1), 1.0)
        error = np.square(
            np.clip(np.floor(flat / scale + 0.5), -limit, limit - 1) * scale - flat
        ).sum(0)
        better = error < least
        best = np.where(better, amax * share, best)
        least = np.where(better, error, least)
    return best
