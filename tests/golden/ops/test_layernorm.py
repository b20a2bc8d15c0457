"""Integer LayerNorm against a high-precision reference."""

import math
from fractions import Fraction

import numpy as np
import pytest

from golden.ops import LayerNorm
from golden.ops.layernorm import reciprocal_root


def parameters(rng, channels):
    """Realistic gamma and beta, their integers, and the most fraction bits that 16 bits allow."""
    gamma, beta = rng.normal(1, 0.4, channels), rng.normal(0, 0.3, channels)
    bits = 15 - math.ceil(math.log2(np.abs(gamma).max()))
    gamma_q = np.rint(gamma * 2**bits).astype(np.int64)
    beta_q = np.rint(beta * 2.0 ** (16 + bits)).astype(np.int64)
    return gamma, beta, gamma_q, beta_q, bits


def exact(q, alpha, gamma, beta, out_exp):
    """LayerNorm without eps in 80-bit floats, rounded half up once."""
    x = (q << alpha).astype(np.longdouble)
    mean = x.mean(-1, keepdims=True)
    deviation = np.sqrt(((x - mean) ** 2).mean(-1, keepdims=True))
    y = (x - mean) / deviation * gamma + beta
    return np.clip(np.floor(y / np.longdouble(2.0**out_exp) + 0.5), -128, 127)


@pytest.mark.parametrize("channels", [48, 192, 384, 1024])
@pytest.mark.parametrize("spread", [4.0, 40.0])
def test_close_to_exact_rounding(channels, spread):
    rng = np.random.default_rng(channels)
    gamma, beta, gamma_q, beta_q, bits = parameters(rng, channels)
    alpha = rng.integers(0, 4, channels)
    tokens = 200_000 // channels
    q = np.clip(np.rint(rng.normal(0, spread, (tokens, channels)) / 2.0**alpha * 2), -128, 127)
    q = q.astype(np.int64)
    got = LayerNorm(channels=channels).compute(q, alpha, gamma_q, beta_q, 16 + bits - 5)
    want = exact(q, alpha, gamma, beta, -5)
    off = np.abs(got - want)
    assert off.max() <= 1
    assert (off > 0).mean() <= 0.001
    assert len(np.unique(got)) > 100


def test_statistics_are_exact():
    norm = LayerNorm(channels=3)
    s1, s2 = norm.statistics([[1, -2, 127], [-128, 0, 5]], [0, 1, 3])
    assert s1.tolist() == [1 - 4 + 1016, -128 + 40]
    assert s2.tolist() == [1 + 16 + 1016**2, 128**2 + 1600]


def test_reciprocal_root_is_the_nearest_16_bit_mantissa():
    rng = np.random.default_rng(0)
    values = [1, 2, 3, 4, 5, (1 << 48) - 1, 1 << 47, 1 << 46, (1 << 46) - 1]
    values += [int(v) for v in rng.integers(1, 1 << 48, 2000) >> rng.integers(0, 47, 2000)]
    for v in values:
        if v == 0:
            continue
        r, k = reciprocal_root(v)
        assert 1 << 15 <= r < 1 << 16
        assert 0 <= k <= 23
        # r stands for 2**(16+k) / sqrt(V): within rounding of it, compared as exact squares.
        reach = Fraction(51, 100) if r < (1 << 16) - 1 else 1
        assert (r - reach) ** 2 * v <= 1 << (2 * k + 32) <= (r + reach) ** 2 * v, v
    assert reciprocal_root(0) == (0, 0)


@pytest.mark.parametrize("bad", [-1, 1 << 48])
def test_impossible_variances_are_refused(bad):
    with pytest.raises(OverflowError, match=r"outside 0\.\.2\*\*48-1"):
        reciprocal_root(bad)


def test_constant_tokens_leave_beta_alone():
    norm = LayerNorm(channels=4)
    beta = np.array([5 << 20, -(3 << 20), 0, 1 << 19])
    for value in (-128, 0, 127):
        q = np.full((2, 4), value)
        got = norm.compute(q, [0] * 4, [30000] * 4, beta, 20)
        assert got.tolist() == [[5, -3, 0, 1]] * 2


def test_token_by_hand():
    # Tokens (1, -1): V = 4, D = +-2, D/sqrt(V) = +-1; gamma 1, out exponent -4.
    got = LayerNorm(channels=2).compute([[1, -1]], [0, 0], [4096, 4096], [0, 0], 16 + 12 - 4)
    assert got.tolist() == [[16, -16]]
    # Four bits keep -8..7 of the same numbers.
    four = [[1, -1]], [0, 0], [4096, 4096], [0, 0]
    assert LayerNorm(channels=2).compute(*four, 16 + 12 - 4, 4).tolist() == [[7, -8]]
    assert LayerNorm(channels=2).compute(*four, 16 + 12 - 2, 4).tolist() == [[4, -4]]
    # The same token at twice the scale in one channel only: X = (2, -1), D = (3, -3), V = 9.
    got = LayerNorm(channels=2).compute([[1, -1]], [1, 0], [4096, 4096], [0, 0], 16 + 12 - 4)
    assert got.tolist() == [[16, -16]]


def test_one_hot_tokens_reach_the_largest_normalised_value():
    channels = 192
    q = np.zeros((1, channels), np.int64)
    q[0, 7] = 127
    got = LayerNorm(channels=channels).compute(
        q, [3] * channels, [4096] * channels, [0] * channels, 28 - 3
    )
    assert got[0, 7] == math.floor(math.sqrt(channels - 1) * 8 + 0.5)
    assert set(np.delete(got[0], 7)) == {math.floor(-8 / math.sqrt(channels - 1) + 0.5)}


def test_wrong_width_is_refused():
    with pytest.raises(ValueError, match="expected 4 channels, got 3"):
        LayerNorm(channels=4).compute(np.zeros((1, 3)), [0] * 3, [1] * 3, [0] * 3, 4)
