"""Rounding, requantization and residual addition against exact rationals."""

import math
from fractions import Fraction

import numpy as np
import pytest

from golden.ops import Requantize, ResidualAdd, rshr, saturate
from golden.ops.rounding import fits


def half_up(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


def test_rshr_is_round_half_up_for_every_small_value_and_shift():
    x = np.arange(-600, 601)
    for s in range(-4, 12):
        want = [half_up(Fraction(int(v)) / Fraction(2) ** s) for v in x]
        assert rshr(x, s).tolist() == want


def test_rshr_by_hand():
    # Halves go up, negative ones too; torch.round would give 0, 2, 2 and 0, -2.
    assert rshr([1, 3, 5], 1).tolist() == [1, 2, 3]
    assert rshr([-1, -3], 1).tolist() == [0, -1]
    assert rshr([24], 4).tolist() == [2]
    assert rshr([-24], 4).tolist() == [-1]
    assert rshr([7], -3).tolist() == [56]


def test_rshr_broadcasts_shifts_over_channels():
    x = np.array([[100, 100, 100], [-7, -7, -7]])
    assert rshr(x, [0, 3, -1]).tolist() == [[100, 13, 200], [-7, -1, -14]]


def test_rshr_of_extreme_accumulators():
    ends = np.array([-(2**31), 2**31 - 1])
    assert rshr(ends, 31).tolist() == [-1, 1]
    assert rshr(ends, 24).tolist() == [-128, 128]


def test_saturation_is_after_the_shift():
    assert saturate([-129, -128, 127, 128], 8).tolist() == [-128, -128, 127, 127]
    assert saturate([-9, 8], 4).tolist() == [-8, 7]
    # 255 >> 1 rounds to 128 and saturates; saturating first would give 64.
    assert Requantize().compute([255], 1).tolist() == [127]
    assert fits([-128, 127], 8)
    assert not fits([128], 8)
    assert not fits([-129], 8)


def test_requantize_against_rationals_per_channel():
    rng = np.random.default_rng(1)
    shift = np.arange(-32, 32)
    acc = rng.integers(-(2**31), 2**31, (300, 64)) >> rng.integers(0, 31, (300, 64))
    acc[:, shift < 0] >>= 8  # a left shift is exact only while it fits
    got = Requantize().compute(acc, shift)
    assert got.dtype == np.int8
    for a, y in zip(acc, got, strict=True):
        for value, s, out in zip(a, shift, y, strict=True):
            exact = half_up(Fraction(int(value)) / Fraction(2) ** int(s))
            assert out == max(-128, min(127, exact))


def test_residual_adds_before_it_rounds_once():
    add = ResidualAdd()
    # 3/2 + 3/2 is 3; two roundings would give 2 + 2.
    assert add.compute([3], [3], 0, 0, 1).tolist() == [3]
    rng = np.random.default_rng(2)
    n = 2000
    la, lo, shift = rng.integers(0, 4, n), rng.integers(0, 10, n), rng.integers(-1, 12, n)
    acc = rng.integers(-(2**20), 2**20, n) >> rng.integers(0, 16, n)
    old = rng.integers(-128, 128, n)
    got = add.compute(acc, old, la, lo, shift)
    seen = set()
    for i in range(n):
        exact = Fraction(int(acc[i]) << int(la[i])) + Fraction(int(old[i]) << int(lo[i]))
        want = max(-128, min(127, half_up(exact / Fraction(2) ** int(shift[i]))))
        assert got[i] == want
        seen.add(want)
    assert {-128, 127} <= seen
    assert len(seen) > 150


@pytest.mark.parametrize(("acc", "la"), [(2**30, 1), (-(2**30) - 1, 1), (2**31 - 1, 0)])
def test_residual_refuses_sums_beyond_32_bits(acc, la):
    with pytest.raises(OverflowError, match="exceeds 32 bits"):
        ResidualAdd().compute([acc], [1], la, 0, 4)
