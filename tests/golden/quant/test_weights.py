"""Weights: compensation beats nearest where inputs correlate; refit and biases meet the targets."""

import numpy as np
import pytest
import torch

from golden.quant.search import smoothing, statistics, weights
from golden.quant.search.linear import LinearParameters


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    mixing = rng.normal(0, 1, (24, 24)) * 0.6 + np.eye(24)
    x = np.clip(np.rint(rng.normal(0, 12, (6, 50, 24)) @ mixing + 5), -128, 127)
    weight, bias = rng.normal(0, 0.1, (10, 24)), rng.normal(0, 1, 10)
    return torch.from_numpy(x.astype(np.int8)), LinearParameters(weight=weight, bias=bias)


def gather(x, target, class_weight=1.0, exponent=-3):
    return statistics.moments(
        x, exponent, target, statistics.second_moments(x), class_weight=class_weight
    )


def outputs(x, layer):
    real = np.ldexp(x.numpy().astype(np.float64), -3)
    return torch.from_numpy(real @ layer.weight.T + layer.bias).float()


def test_moments_match_numpy(problem):
    x, layer = problem
    target = outputs(x, layer)
    seen = gather(x, target, class_weight=3.0)
    rows = np.ldexp(x.numpy().astype(np.float64), -3)
    rows = np.concatenate([rows, rows[:, :1], rows[:, :1]], 1).reshape(-1, 24)
    wanted = target.numpy().astype(np.float64)
    wanted = np.concatenate([wanted, wanted[:, :1], wanted[:, :1]], 1).reshape(-1, 10)
    assert seen.tokens == x.shape[0] * x.shape[1]
    assert np.allclose(seen.mean_x, rows.mean(0))
    assert np.allclose(seen.cov_xx, np.cov(rows.T, bias=True), atol=1e-9)
    centred = rows - rows.mean(0)
    assert np.allclose(seen.cov_xy, centred.T @ (wanted - wanted.mean(0)) / len(rows), atol=1e-4)


@pytest.mark.parametrize("bits", [8, 4])
def test_compensation_beats_nearest(problem, bits):
    x, layer = problem
    cov = gather(x, outputs(x, layer)).cov_xx

    def error(made):
        gap = made.real - layer.weight
        return np.trace(gap @ cov @ gap.T)

    nearest = weights.round_nearest(layer.weight, bits, np.diag(cov))
    compensated = weights.round_compensated(layer.weight, bits, cov)
    limit = 1 << (bits - 1)
    for made in (nearest, compensated):
        assert made.values.min() >= -limit
        assert made.values.max() < limit
    assert error(compensated) < 0.7 * error(nearest)


def test_refit_undoes_a_gain(problem):
    x, layer = problem
    target = outputs(x, LinearParameters(weight=1.2 * layer.weight, bias=layer.bias))
    fitted = statistics.refit(gather(x, target), layer, prior=1e-3)
    assert np.allclose(fitted.weight, 1.2 * layer.weight, atol=1e-3)
    pulled = statistics.refit(gather(x, target), layer, prior=1e9)
    assert np.allclose(pulled.weight, layer.weight, atol=1e-3)


def test_centred_bias_meets_the_mean(problem):
    x, layer = problem
    target = outputs(x, layer)
    crude = weights.round_nearest(layer.weight, 4)
    bias = statistics.centred_bias(gather(x, target), crude.real)
    got = outputs(x, LinearParameters(weight=crude.real, bias=bias))
    assert np.allclose(got.mean((0, 1)), target.mean((0, 1)), atol=1e-4)


def test_dead_channels_stay_within_the_span():
    weight = np.ones((3, 8)) * np.array([[1.0], [1e-9], [0.0]])
    made = weights.round_nearest(weight, 8)
    assert made.exponent.max() - made.exponent.min() <= weights.EXPONENT_SPAN


def test_smoothing_factors_move_range_to_the_weights():
    rng = np.random.default_rng(1)
    size = np.array([1.0, 1, 1, 1, 64, 1 / 8])
    x = rng.normal(0, 1, (2, 40, 6)) * size
    weight = rng.normal(0, 1, (5, 6))
    found = smoothing.choose("minmax", x, weight, 8, "auto")
    assert found[4] >= 2
    assert found.dtype == np.int64
    assert not smoothing.choose("minmax", x, weight, 8, None).any()
    one = smoothing.factors(np.abs(x).max((0, 1)), np.abs(weight).max(0), 1.0)
    assert np.all(np.ldexp(np.abs(x).max((0, 1)), -one) < 16)


@pytest.mark.parametrize("bits", [8, 4])
def test_span_bounds_the_exponents(problem, bits):
    x, layer = problem
    weight = layer.weight * 2.0 ** -np.arange(10)[:, None]
    cov = gather(x, outputs(x, layer)).cov_xx
    for made in (
        weights.round_nearest(weight, bits, span=3),
        weights.round_compensated(weight, bits, cov, 3),
    ):
        assert 2 <= made.exponent.max() - made.exponent.min() <= 3
