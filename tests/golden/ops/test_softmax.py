"""Log-Int-Softmax against exact arithmetic written another way."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from golden.ops import AttnFormat, CodeRule, ExpForm, LogIntSoftmax
from golden.ops.softmax import EXP_LUT, RULE_CENTRED, RULE_FQ, RULE_HALF
from golden.ops.uniform_attention import UniformAttention


def fq_codes(e, s):
    """FQ-ViT: round(S/E) half to even, then round log2 of it at one and a half octaves."""
    e, s = np.broadcast_arrays(np.asarray(e, np.int64), np.asarray(s, np.int64))
    out = np.full(e.shape, 15, np.int64)
    live = e > 0
    e, s = e[live], s[live]
    x, rest = np.divmod(2 * s + e, 2 * e)
    x -= (rest == 0) & (x % 2 == 1)
    floor = np.frexp(x.astype(np.float64))[1].astype(np.int64) - 1
    up = 2 * (x - (np.int64(1) << floor)) >= np.int64(1) << floor
    out[live] = np.minimum(floor + up, 15)
    return out


def test_the_reference_agrees_with_python_rationals():
    for e in range(1, 40):
        for s in range(e, 900, 7):
            x = round(Fraction(s, e))
            floor = x.bit_length() - 1
            want = floor + (2 * (x - 2**floor) >= 2**floor)
            assert fq_codes(e, s) == min(want, 15)


def test_fq_rule_exhaustive_over_small_numbers():
    unit = LogIntSoftmax(rule=RULE_FQ)
    compared = 0
    for e in range(256):
        s = np.arange(max(e, 1), 9000)
        assert np.array_equal(unit.codes(e, s), fq_codes(e, s)), e
        compared += s.size
    assert compared > 2_000_000


def test_fq_rule_on_a_million_random_rows_and_every_threshold():
    unit = LogIntSoftmax(rule=RULE_FQ)
    rng = np.random.default_rng(0)
    e = rng.integers(0, 1 << 16, 1_000_000) >> rng.integers(0, 16, 1_000_000)
    s = np.maximum(
        np.maximum(e, 1), rng.integers(1, 1 << 24, e.size) >> rng.integers(0, 24, e.size)
    )
    got = unit.codes(e, s)
    assert np.array_equal(got, fq_codes(e, s))
    assert set(np.unique(got)) == set(range(16))
    # The sums next to every threshold.
    e = rng.integers(1, 1 << 16, 3000)
    for k in range(1, 16):
        for offset in range(-2, 3):
            s = np.maximum(e, ((3 * 2 ** (k - 1) - 1) * e) // 2 + offset)
            assert np.array_equal(unit.codes(e, s), fq_codes(e, s)), (k, offset)


@pytest.mark.parametrize("rule", [RULE_CENTRED, CodeRule(odd=357), CodeRule(odd=256)])
def test_centred_rule_against_rationals(rule):
    unit = LogIntSoftmax(rule=rule)
    rng = np.random.default_rng(1)
    e = rng.integers(1, 1 << 16, 2000)
    s = np.maximum(e, rng.integers(1, 1 << 24, e.size) >> rng.integers(0, 12, e.size))
    exact = [
        sum(Fraction(int(b), int(a)) >= Fraction(rule.odd, 256) * 2**n for n in range(15))
        for a, b in zip(e, s, strict=True)
    ]
    assert unit.codes(e, s).tolist() == exact
    assert set(exact) >= set(range(1, 16))
    assert unit.codes(0, 5) == 15


def test_half_step_rule_against_rationals():
    unit = LogIntSoftmax(fmt=AttnFormat.HALF, rule=RULE_HALF)
    rng = np.random.default_rng(2)
    e = rng.integers(1, 1 << 16, 2000) >> rng.integers(0, 8, 2000)
    e = np.maximum(e, 1)
    s = np.maximum(e, rng.integers(1, 1 << 24, e.size) >> rng.integers(0, 12, e.size))
    exact = []
    for a, b in zip(e, s, strict=True):
        ratio = 256 * Fraction(int(b), int(a))
        odd = sum(ratio >= 304 * 2**n for n in range(16))
        even = sum(ratio >= 431 * 2**n for n in range(15))
        exact.append(odd + even)
    assert unit.codes(e, s).tolist() == exact
    assert set(exact) == set(range(32))
    assert unit.codes(0, 5) == 31


@pytest.mark.parametrize(
    ("fmt", "rule", "step"),
    [(AttnFormat.LOG2, RULE_CENTRED, 1.0), (AttnFormat.HALF, RULE_HALF, 0.5)],
)
def test_codes_are_probabilities_within_a_step(fmt, rule, step):
    unit = LogIntSoftmax(fmt=fmt, rule=rule)
    e = np.arange(1000, 65536, 97)
    s = e * 11
    codes = unit.codes(e, s).astype(float)
    assert np.abs(codes * step - math.log2(11)).max() <= step


def test_base2_table_is_the_rounded_power():
    with mpmath.workprec(100):
        for i, entry in enumerate(EXP_LUT):
            exact = mpmath.mpf(65536) * mpmath.power(2, mpmath.mpf(-i) / 32)
            assert entry == min(65535, int(mpmath.floor(exact + mpmath.mpf("0.5"))))


@pytest.mark.parametrize("exponent", range(-5, 1))
def test_base2_exponential_of_every_distance(exponent):
    got = LogIntSoftmax().exponential(np.arange(256), exponent)
    for t in range(256):
        whole, frac = divmod(t, 2**-exponent)
        entry = EXP_LUT[frac * 2 ** (5 + exponent)]
        assert got[t] == (entry >> whole if whole <= 16 else 0)
    assert got[0] == 65535
    assert np.all(np.diff(got) <= 0)


@pytest.mark.parametrize("exponent", range(-5, 1))
def test_iexp_follows_the_polynomial_and_the_exponential(exponent):
    got = LogIntSoftmax(form=ExpForm.IEXP).exponential(np.arange(256), exponent)
    scale = 2.0**exponent
    x0, b, c = (math.floor(v) for v in (-0.6931 / scale, 2.7073 / scale, 2.7921 / scale**2))
    width = max(c.bit_length(), 1)
    for t in range(256):
        q = math.floor(-t / x0)
        r = -t - q * x0
        z = r * (r + b) + c
        assert got[t] == (z << (16 - width)) >> min(q, 16), t
    assert got.max() < 1 << 16
    if exponent <= -3:  # coarse scales truncate x0, b and c badly: the cost of this form
        shape = got / got[0]
        exact = np.exp(-np.arange(256) * scale)
        assert np.abs(shape - exact).max() < 0.05


@pytest.mark.parametrize("exponent", [-6, 1])
def test_logit_exponents_are_clamped_by_the_quantizer_not_here(exponent):
    with pytest.raises(ValueError, match=r"outside -5\.\.0"):
        LogIntSoftmax().compute(np.zeros((1, 4), np.int8), exponent)


def test_rows_by_hand():
    unit = LogIntSoftmax(rule=RULE_CENTRED)
    # One-hot maximum: the rest is 16 octaves away.
    row = np.array([127, -128, -128, -128], np.int8)
    assert unit.compute(row, -2).tolist() == [0, 15, 15, 15]
    # Four equal logits: 1/4 each.
    assert unit.compute(np.full(4, -128, np.int8), -3).tolist() == [2, 2, 2, 2]
    # 1/2, 1/4, 1/4 at one octave per step.
    assert unit.compute(np.array([5, 4, 4], np.int8), 0).tolist() == [1, 2, 2]


def test_uniform_codes_are_rounded_255ths():
    rng = np.random.default_rng(3)
    e = rng.integers(0, 1 << 16, 5000)
    s = np.maximum(e, rng.integers(1, 1 << 24, e.size))
    want = [
        math.floor(255 * Fraction(int(a), int(b)) + Fraction(1, 2))
        for a, b in zip(e, s, strict=True)
    ]
    assert UniformAttention().codes(e, s).tolist() == want
