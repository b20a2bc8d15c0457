"""A linear layer in integers: fitted to what calibration saw, rounded, its bias made whole.

The three parts are functions of the layer, of its inputs' and targets' moments, and of the options.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from golden.quant.options import QuantOptions
from golden.quant.search import statistics, weights
from golden.quant.search.linear import LinearParameters
from golden.quant.search.statistics import Moments
from golden.support.errors import PotvitError

Floats = npt.NDArray[np.float64]

#: Tokens' worth of trust in the float bias.
BIAS_PRIOR = 250


@dataclass(frozen=True, kw_only=True)
class LayerRules:
    """What the options say about one layer of ``bits`` weights, called ``name`` in messages.

    ``refit``, ``correct`` (the bias) and ``compensated`` (the rounding) need the layer's moments;
    ``prior`` is the tokens' worth of trust in the float weights. Weight exponents span at most
    ``span`` bits.
    """

    name: str
    bits: int
    refit: bool
    correct: bool
    compensated: bool
    prior: float
    span: int

    @classmethod
    def of(cls, options: QuantOptions, name: str, span: int = weights.EXPONENT_SPAN) -> LayerRules:
        """The rules of layer ``name`` under ``options``."""
        bits = options.bits.bits(name)
        rounding = options.rounding if bits == 8 else options.rounding4
        return cls(
            name=name,
            bits=bits,
            refit=options.refit,
            correct=options.refit or options.bias_correction,
            compensated=rounding == "compensated",
            prior=options.prior,
            span=span,
        )

    @property
    def needs_moments(self) -> bool:
        """Does anything depend on what calibration saw?"""
        return self.correct or self.compensated

    def trusts(self, seen: Moments) -> bool:
        """Are there enough tokens to shape the weights by them?

        Too few say little about a large layer, which also costs the most. Four bits lose so much
        that even few tokens help.
        """
        return self.bits == 4 or seen.tokens >= 2 * len(seen.mean_x)


def fitted(layer: LinearParameters, seen: Moments | None, rules: LayerRules) -> LinearParameters:
    """The layer whose outputs on the quantized inputs come closest to the float ones."""
    if seen is None or not rules.refit or not rules.trusts(seen):
        return layer
    return statistics.refit(seen, layer, rules.prior)


def rounded(weight: Floats, seen: Moments | None, rules: LayerRules) -> weights.QuantizedWeight:
    """Float weights [C, K] as integers, least error on the inputs that were seen."""
    if seen is None:
        return weights.round_nearest(weight, rules.bits, span=rules.span)
    if rules.compensated and rules.trusts(seen):
        return weights.round_compensated(weight, rules.bits, seen.cov_xx, rules.span)
    return weights.round_nearest(weight, rules.bits, np.diag(seen.cov_xx), rules.span)


def whole_bias(
    bias: Floats,
    made: weights.QuantizedWeight,
    seen: Moments | None,
    rules: LayerRules,
    *,
    exponent: int,
    zero: int,
) -> npt.NDArray[np.int32]:
    """The integer bias [C] of weights ``made`` for inputs that mean ``(q + zero) * 2**exponent``.

    The offset folds into it exactly: ``zero * sum(W)``. Corrected, it moves towards the bias that
    makes the mean output the float network's, as far as the tokens seen can be trusted. Raises
    ``PotvitError`` if it takes more than 32 bits.
    """
    bias = bias + zero * 2.0**exponent * made.real.sum(1)
    if seen is not None and rules.correct:
        trust = seen.tokens / (seen.tokens + BIAS_PRIOR)
        bias = bias + trust * (statistics.centred_bias(seen, made.real) - bias)
    whole = np.floor(np.ldexp(bias, -(exponent + made.exponent)) + 0.5)
    if np.abs(whole).max() >= 2.0**31:
        raise PotvitError(
            f"{rules.name}: a bias exceeds 32 bits at its layer's scale: "
            "are the weights those of a trained network?"
        )
    return whole.astype(np.int32)
