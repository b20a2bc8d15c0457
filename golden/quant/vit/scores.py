"""Attention logits: their exponents, relative position bias and mask."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from golden.graph import ir
from golden.ops.softmax import ExpForm
from golden.quant.calibrate import Calibrator, Floats, ints
from golden.quant.search import pot
from golden.quant.search.observers import ranges
from golden.quant.vit.parameters import Block

LOG2_E = math.log2(math.e)
LOGIT_MIN, LOGIT_MAX = -5, 0
#: Pictures that the search over attention matrices looks at.
SEARCH_PICTURES = 16


def scores(cal: Calibrator, prefix: str, block: Block, m: int) -> str:
    """Logits at one exponent per head, chosen by the error of the probabilities they give.

    In windows each head's relative position bias is int8 at the exponent of its logits (no finer
    than the products): the search compares logits with it, masked keys excluded.
    """
    q, k = f"{prefix}.q", f"{prefix}.k"
    windows, heads = block.windows, block.heads
    keys = cal.values[k].shape[1] if windows is None else windows.size
    qh, kh = (
        cal.values[x][:SEARCH_PICTURES]
        .reshape(-1, keys, heads, cal.values[x].shape[2] // heads)
        .transpose(1, 2)
        .double()
        for x in (q, k)
    )
    exps = (cal.exponent(q) + cal.exponent(k))[:: qh.shape[-1]] - m
    products = (qh @ kh.transpose(-1, -2)).numpy()
    scale = LOG2_E if cal.options.exp is ExpForm.BASE2 else 1.0
    bias = None if block.bias is None else block.bias.double().numpy() * scale
    hidden = None
    if windows is not None and windows.masks:
        hidden = np.tile(windows.masked(), (len(products) // windows.count, 1, 1))
    base = 1.0 if cal.options.exp is ExpForm.BASE2 else LOG2_E
    chosen = [
        logit_exponent(
            cal.options.method,
            np.ldexp(products[:, h], exps[h]),
            base,
            cal.class_weight,
            bias=None if bias is None else bias[h],
            hidden=hidden,
        )
        for h in range(heads)
    ]
    shift = np.array(chosen) - exps
    bias_shift = np.maximum(shift, 0)
    made = None
    if bias is not None:
        made = pot.levels(bias, (exps + bias_shift)[:, None, None]).astype(np.int8)
    node = ir.Scores(
        name=f"{prefix}.scores",
        inputs=(q, k),
        output=f"{prefix}.scores",
        heads=heads,
        shift=ints(shift),
        windows=windows,
        bias=made,
        bias_shift=None if made is None else ints(bias_shift),
    )
    cal.add(node, chosen)
    cal.drop(q, k)
    return node.output


def logit_exponent(
    method: str,
    x: Floats,
    base: float,
    class_weight: float,
    *,
    bias: Floats | None = None,
    hidden: npt.NDArray[np.bool_] | None = None,
) -> int:
    """Exponent in -5..0 for one head's products ``x`` [N, T, T] and its ``bias`` [T, T].

    ``base`` is what the logits are multiplied by to be powers of two; ``hidden`` [N, T, T] keys
    are not seen.
    """
    if bias is None:
        bias = np.zeros((1, 1))
    wanted = x + bias
    seen = wanted if hidden is None else np.where(hidden, 0.0, wanted)
    middle = int(pot.centre(ranges(method, seen.reshape(len(x), -1, 1)))[0])
    tried = sorted({min(max(middle + o, LOGIT_MIN), LOGIT_MAX) for o in pot.WINDOW})
    if len(tried) == 1:
        return tried[0]
    exact = _probabilities(wanted, base, hidden)
    rows = np.ones(x.shape[1])
    rows[0] = class_weight
    errors = []
    for e in tried:
        logits = pot.rounded(x + pot.rounded(bias, e), e)
        gap = np.square(_probabilities(logits, base, hidden) - exact)
        errors.append(gap.sum((0, 2)) @ rows)
    return tried[int(np.argmin(errors))]


def _probabilities(x: Floats, base: float, hidden: npt.NDArray[np.bool_] | None) -> Floats:
    if hidden is not None:
        x = np.where(hidden, -np.inf, x)
    powers = np.exp2((x - x.max(-1, keepdims=True)) * base)
    return np.asarray(powers / powers.sum(-1, keepdims=True))
