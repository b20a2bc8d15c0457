"""Exponent search, observers and PTF: the rounding primitive, the best exponent, the ranges."""

import numpy as np
import pytest

from golden.ops.rounding import rshr, saturate
from golden.quant.search import observers, pot
from golden.quant.search.ptf import residual_exponents


def test_levels_are_the_rounding_primitive():
    acc = np.arange(-70000, 70000, 7)
    for exponent in range(-3, 11):
        wanted = saturate(rshr(acc, exponent), 8)
        assert np.array_equal(pot.levels(acc, exponent), wanted)
    assert pot.levels([0.5, 1.5, -0.5, -1.5], 0).tolist() == [1, 2, 0, -1]


def test_search_finds_the_best_exponent_of_the_window():
    rng = np.random.default_rng(0)
    x = rng.standard_t(3, (4000, 5)) * [0.01, 0.3, 1, 7, 90]
    amax = np.abs(x).max(0)
    found = pot.search(x, amax)
    for group in range(5):
        tried = pot.centre(amax[group]) + np.array(pot.WINDOW)
        errors = [np.square(pot.rounded(x[:, group], e) - x[:, group]).sum() for e in tried]
        assert found[group] == tried[int(np.argmin(errors))]


def test_search_clips_outliers_in_four_bits():
    rng = np.random.default_rng(1)
    x = np.append(rng.normal(0, 1, 9999), [40.0])[:, None]
    assert pot.search(x, np.abs(x).max(0), 4)[0] <= pot.centre(40.0, 4) - 2


def test_weighted_rows_decide():
    x = np.array([[0.9]] * 50 + [[100.0]])
    heavy = pot.search(x, [100.0], weight=np.array([0.0] * 50 + [1.0]))
    light = pot.search(x, [100.0], weight=np.array([1e6] * 50 + [1e-6]))
    assert heavy[0] > light[0]


def test_zeros_have_an_exponent():
    assert pot.search(np.zeros((4, 2)), np.zeros(2)).tolist() == [-10, -10]
    assert pot.centre(0.0) == pot.ZERO_EXPONENT


def test_sample_keeps_class_tokens_and_shares():
    x = np.arange(4 * 101 * 3, dtype=np.float64).reshape(4, 101, 3)
    rows, weight = pot.sample(x, 7.0, limit=300)
    assert np.array_equal(rows[:4], x[:, 0])
    assert np.all(weight[:4] == 7)
    assert weight[4:].sum() == pytest.approx(400)
    assert len(rows) < 110


def test_observers_differ_as_they_should():
    rng = np.random.default_rng(2)
    x = rng.normal(0, 1, (8, 20000, 1))
    x[-1, 0] = 50.0
    found = {m: observers.ranges(m, x)[0] for m in observers.METHODS}
    assert found["minmax"] == 50
    assert 4 < found["ema"] < 12
    assert 3.5 < found["percentile"] < 6
    assert found["omse"] < 50
    with pytest.raises(ValueError, match="none of minmax"):
        observers.ranges("mean", x)


def test_exponents_per_group():
    rng = np.random.default_rng(3)
    x = rng.normal(0, 1, (2, 50, 6)) * [1, 1, 1, 16, 16, 16]
    found = observers.exponents("minmax", x, groups=2)
    assert found[1] - found[0] == 4


def test_ptf_spans_three_bits_and_beats_one_exponent():
    rng = np.random.default_rng(4)
    size = 2.0 ** np.array([0, 1, 2, 3, 5, -4])
    x = rng.normal(0, 1, (4, 64, 6)) * size
    with_factors = residual_exponents("minmax", x)
    without = residual_exponents("minmax", x, factors=False)
    assert with_factors.max() - with_factors.min() == 3
    assert len(set(without.tolist())) == 1
    error = [np.square(pot.rounded(x, e) - x).sum() for e in (with_factors, without)]
    assert error[0] < 0.7 * error[1]
