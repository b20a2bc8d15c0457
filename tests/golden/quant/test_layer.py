"""A linear layer in integers, part by part: what the options ask for, fit, rounding, bias."""

import numpy as np
import pytest
import torch

from golden.quant import QuantOptions, bit_map
from golden.quant.layer import LayerRules, fitted, rounded, whole_bias
from golden.quant.search import statistics
from golden.quant.search.linear import LinearParameters
from golden.support.errors import PotvitError

PLAIN = QuantOptions(rounding="nearest", rounding4="nearest", refit=False, bias_correction=False)


def layer(outputs=3, inputs=8, seed=1):
    rng = np.random.default_rng(seed)
    return LinearParameters(
        weight=rng.normal(0, 0.3, (outputs, inputs)), bias=rng.normal(0, 1, outputs)
    )


def moments(layer, tokens, error):
    """What calibration sees of a layer whose float outputs are off by ``error`` per channel."""
    rng, inputs = np.random.default_rng(2), layer.weight.shape[1]
    common = rng.integers(-80, 81, (1, tokens, 1))  # inputs that go together
    x = torch.from_numpy((common + rng.integers(-40, 41, (1, tokens, inputs))).astype(np.int8))
    target = (x.double() * 2.0**-5) @ torch.from_numpy(layer.weight).T
    target += torch.from_numpy(layer.bias + error)
    return statistics.moments(x, -5, target.float(), statistics.second_moments(x))


def test_rules_follow_bits_and_options():
    options = QuantOptions(bits=bit_map("w4a8"), rounding="nearest", rounding4="compensated")
    eight, four = (LayerRules.of(options, name) for name in ("head", "blocks.0.q"))
    assert (eight.bits, eight.compensated) == (8, False)
    assert (four.bits, four.compensated) == (4, True)
    assert eight.correct, "a fit includes its bias"
    assert not LayerRules.of(PLAIN, "head").needs_moments
    assert LayerRules.of(QuantOptions(refit=False), "head").needs_moments


def test_few_tokens_are_trusted_only_with_four_bits():
    seen = moments(layer(), 15, 0)
    options = QuantOptions(bits=bit_map("w4a8"))
    eight, four = (LayerRules.of(options, name) for name in ("head", "blocks.0.q"))
    assert not eight.trusts(seen)
    assert four.trusts(seen)
    assert eight.trusts(moments(layer(), 16, 0))
    assert fitted(layer(), seen, eight) is not fitted(layer(), seen, four)
    assert np.array_equal(fitted(layer(), seen, eight).weight, layer().weight)


def test_a_fit_meets_the_targets():
    true = layer(seed=4)
    options = QuantOptions(prior=1e-6)
    near = LinearParameters(weight=true.weight + 0.05, bias=true.bias)
    made = fitted(near, moments(true, 400, 0), LayerRules.of(options, "head"))
    assert np.allclose(made.weight, true.weight, atol=1e-4)
    assert np.allclose(made.bias, true.bias, atol=1e-3)
    plain = LayerRules.of(PLAIN, "head")
    assert fitted(near, moments(true, 400, 0), plain) is near


def test_rounding_looks_at_the_inputs_if_it_may():
    seen = moments(layer(), 400, 0)
    nearest = rounded(layer().weight, None, LayerRules.of(PLAIN, "blocks.0.q"))
    options = QuantOptions(bits=bit_map("w4a8"))
    passed_on = rounded(layer().weight, seen, LayerRules.of(options, "blocks.0.q"))
    assert nearest.bits == 8
    assert passed_on.bits == 4
    assert np.abs(passed_on.values).max() <= 8

    def error(made):
        gap = made.real - layer().weight
        return np.trace(gap @ seen.cov_xx @ gap.T)

    alone = QuantOptions(bits=bit_map("w4a8"), rounding4="nearest")
    assert error(passed_on) < error(
        rounded(layer().weight, seen, LayerRules.of(alone, "blocks.0.q"))
    )


def test_the_bias_has_the_offset_and_the_mean_error():
    start = layer()
    rules = LayerRules.of(PLAIN, "head")
    made = rounded(start.weight, None, rules)
    unit = np.ldexp(1.0, -5 + made.exponent)
    plain = whole_bias(start.bias, made, None, rules, exponent=-5, zero=0)
    assert np.abs(plain * unit - start.bias).max() <= unit.max() / 2
    offset = whole_bias(start.bias, made, None, rules, exponent=-5, zero=96)
    assert np.array_equal(offset - plain, 96 * made.values.sum(1, dtype=np.int64))
    error = np.array([0.5, -0.5, 2.0])
    corrected = whole_bias(
        start.bias, made, moments(start, 250, error), LayerRules.of(QuantOptions(), "head"),
        exponent=-5, zero=0,
    )  # fmt: skip
    # 250 tokens against a prior of 250: half of the way.
    assert np.allclose((corrected - plain) * unit, error / 2, atol=0.02)


def test_a_bias_of_more_than_32_bits_is_refused_by_name():
    rules = LayerRules.of(PLAIN, "blocks.3.fc1")
    made = rounded(layer().weight, None, rules)
    largest = 2.0**31 * np.ldexp(1.0, -5 + made.exponent)
    with pytest.raises(PotvitError, match=r"blocks\.3\.fc1: a bias exceeds 32 bits"):
        whole_bias(largest, made, None, rules, exponent=-5, zero=0)
    assert whole_bias(largest * (1 - 2**-31), made, None, rules, exponent=-5, zero=0).min() > 0
