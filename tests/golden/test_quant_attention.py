"""Attention's calibration: folded scales, code weights, and changes that leave the float alone."""

import math

import numpy as np
import pytest

from golden.ops import ShiftAttention
from golden.ops.softmax import AttnFormat, ExpForm
from golden.quant import attention


@pytest.mark.parametrize(("depth", "m"), [(16, 2), (64, 3), (32, 2), (48, 2)])
def test_query_scale_is_one_over_root_depth(depth, m):
    factor, shift = attention.query_scale(depth, ExpForm.IEXP)
    assert shift == m
    assert factor * 2.0**-m == pytest.approx(depth**-0.5)
    assert (factor == 1) == (depth in (16, 64))
    base2, _ = attention.query_scale(depth, ExpForm.BASE2)
    assert base2 / factor == pytest.approx(math.log2(math.e))


@pytest.mark.parametrize("fmt", list(AttnFormat))
def test_code_weights_are_what_the_shifters_do(fmt):
    codes = np.arange(fmt.zero_code + 1)[:, None]
    v = np.array([[64 << 1]]) - 1
    table = attention.code_weights(fmt).numpy()[codes[:, 0]]
    got = ShiftAttention(fmt=fmt).compute(codes, v, 0)[:, 0]
    assert np.all(np.abs(got - table * v[0, 0]) <= 1)
    assert table[-1] == 0
    assert attention.code_weights(None)[255] == 1


def test_logit_exponent_stays_in_range_and_avoids_clipping():
    rng = np.random.default_rng(1)
    narrow = rng.normal(0, 0.3, (2, 9, 9))
    assert attention._logit_exponent("minmax", narrow, 1.0, 1.0) == -5
    wide = rng.normal(0, 60, (2, 9, 9))
    assert attention._logit_exponent("minmax", wide, 1.0, 1.0) in (-1, 0)
