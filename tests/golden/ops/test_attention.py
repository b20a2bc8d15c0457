"""Attention x V on shifters: by hand, against rationals, and its 24-bit bound."""

import math
from fractions import Fraction

import numpy as np
import pytest

from golden.ops import AttnFormat, LogIntSoftmax, ShiftAttention
from golden.ops.softmax import RULE_CENTRED, RULE_FQ, RULE_HALF
from golden.ops.uniform_attention import UniformAttention


def test_by_hand():
    unit = ShiftAttention()
    v = np.array([[100, -128], [-50, 127], [7, 7]])
    # 1/2, 1/4 and nothing: (50 - 12.5, -64 + 31.75) -> (38, -32) after half up.
    assert unit.compute([[1, 2, 15]], v, 0).tolist() == [[38, -32]]
    # A coarser output exponent halves, a finer one doubles.
    assert unit.compute([[1, 2, 15]], v, 1).tolist() == [[19, -16]]
    assert unit.compute([[0, 15, 15]], v, -1).tolist() == [[127, -128]]
    assert unit.compute([[1, 2, 15]], v, 3, bits=4).tolist() == [[5, -4]]
    assert unit.compute([[1, 2, 15]], v, 2, bits=4).tolist() == [[7, -8]]
    half = ShiftAttention(fmt=AttnFormat.HALF)
    # 181/256 of 100 is 70.7 -> 71; of -128 is -90.5 -> -90.
    assert half.compute([[1, 31, 31]], v, 0).tolist() == [[71, -90]]
    assert half.compute([[2, 31, 31]], v, 0).tolist() == [[50, -64]]


@pytest.mark.parametrize("fmt", AttnFormat)
def test_against_rationals(fmt):
    rng = np.random.default_rng(0)
    codes = np.minimum(rng.integers(2, fmt.zero_code + 1, (40, 9)), fmt.zero_code)
    v = rng.integers(-128, 128, (9, 5))
    for shift in (-2, 0, 3):
        got = ShiftAttention(fmt=fmt).compute(codes, v, shift)
        for row in range(40):
            for lane in range(5):
                acc = Fraction(0)
                for code, value in zip(codes[row], v[:, lane], strict=True):
                    value = Fraction(int(value))
                    if code == fmt.zero_code:
                        continue
                    if fmt is AttnFormat.LOG2:
                        acc += value / 2 ** int(code)
                        continue
                    if code % 2:
                        value = Fraction(math.floor(value * 181 / 256 + Fraction(1, 2)))
                    acc += value / 2 ** int(code // 2)
                y = math.floor(acc / Fraction(2) ** shift + Fraction(1, 2))
                assert got[row, lane] == max(-128, min(127, y))


@pytest.mark.parametrize(
    ("fmt", "rule"),
    [(AttnFormat.LOG2, RULE_CENTRED), (AttnFormat.LOG2, RULE_FQ), (AttnFormat.HALF, RULE_HALF)],
)
def test_24_bits_hold_every_row_that_softmax_makes(fmt, rule):
    unit = LogIntSoftmax(fmt=fmt, rule=rule)
    rng = np.random.default_rng(1)
    rows = [rng.integers(0, 1 << 16, n) for n in (1, 2, 3, 17, 197, 256) for _ in range(50)]
    rows += [np.full(n, 40000) for n in range(1, 257)]
    worst = 0
    for e in rows:
        codes = unit.codes(e, e.sum())
        for value in (-128, 127):
            ShiftAttention(fmt=fmt).compute(codes[None], np.full((len(e), 1), value), 0)
        step = 1 if fmt is AttnFormat.LOG2 else 2
        live = codes[codes < fmt.zero_code]
        worst = max(worst, float((2.0 ** -(live / step)).sum()))
    assert 1.1 < worst < 2


def test_impossible_rows_are_refused():
    codes = np.zeros((1, 10), np.uint8)
    with pytest.raises(OverflowError, match="exceeds 24 bits"):
        ShiftAttention().compute(codes, np.full((10, 1), -128), 0)


def test_uniform_attention_divides_by_255():
    rng = np.random.default_rng(2)
    codes = rng.multinomial(255, [0.1] * 10, 20)
    v = rng.integers(-128, 128, (10, 6))
    got = UniformAttention().compute(codes, v, -1)
    want = np.floor(codes @ v / 255 * 2 + 0.5).clip(-128, 127)
    assert np.abs(got - want).max() <= 1
    assert (got != want).mean() < 0.01
