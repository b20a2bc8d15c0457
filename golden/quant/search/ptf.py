"""Power-of-two factors of the residual stream: one base, 0 to 3 bits more per channel."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from golden.ops.layernorm import ALPHA_MAX
from golden.quant.search import pot
from golden.quant.search.observers import ranges

#: Exponents tried below that of the widest channel.
DEPTH = 10


def residual_exponents(
    method: str, x: npt.NDArray[Any], *, factors: bool = True, class_weight: float = 1.0
) -> npt.NDArray[np.int64]:
    """Return the exponents [C] of a residual ``x`` [pictures, tokens, C], in real units.

    The base ``b`` minimises the summed squared error when each channel takes its best exponent of
    ``b .. b + 3`` (FQ-ViT's PTF with a power of two as base); without ``factors`` all take ``b``.
    """
    widest = int(pot.centre(ranges(method, x).max()))
    top = widest + pot.WINDOW[-1]
    rows, weight = pot.sample(x, class_weight)
    tried = np.arange(top - DEPTH, top + 1)
    errors = np.stack(
        [(np.square(pot.rounded(rows, e) - rows) * weight[:, None]).sum(0) for e in tried]
    )
    span = ALPHA_MAX + 1 if factors else 1
    totals = [errors[i : i + span].min(0).sum() for i in range(len(tried) - span + 1)]
    base = int(np.argmin(totals))
    return np.asarray(tried[base] + errors[base : base + span].argmin(0))
