"""The one rounding primitive and the one saturation of the whole project.

Everything that narrows a number, in calibration, golden model, compiler and RTL, goes through
these two functions (docs/numerics.md, "Rounding and saturation").
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.integer[Any]]


def rshr(x: npt.ArrayLike, s: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Shift ``x`` right by ``s`` bits, rounding halves towards plus infinity.

    ``(x + 2**(s-1)) >> s`` for ``s > 0`` (arithmetic shift), ``x << -s`` for ``s <= 0``;
    ``x`` and ``s`` broadcast. Exact while the result of a left shift fits 63 bits.
    """
    x = np.asarray(x, np.int64)
    s = np.asarray(s, np.int64)
    right = np.maximum(s, 0)
    half = np.where(right > 0, np.int64(1) << np.maximum(right - 1, 0), 0)
    return np.where(s > 0, (x + half) >> right, x << np.maximum(-s, 0))


def saturate(x: npt.ArrayLike, bits: int) -> npt.NDArray[np.int64]:
    """Clamp to the signed range of ``bits`` bits."""
    limit = 1 << (bits - 1)
    return np.clip(np.asarray(x, np.int64), -limit, limit - 1)


def fits(x: npt.ArrayLike, bits: int) -> bool:
    """Tell whether every element fits ``bits`` bits, signed."""
    x = np.asarray(x, np.int64)
    limit = 1 << (bits - 1)
    return bool(x.size == 0 or (x.min() >= -limit and x.max() < limit))
