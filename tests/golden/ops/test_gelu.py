"""The GELU table against published values and exact rounding."""

import math

import numpy as np
import pytest

from golden.ops import Gelu

# x * Phi(x) with Phi from standard normal tables.
PUBLISHED = {-2.0: -0.0455003, -1.0: -0.1586553, 0.0: 0.0, 1.0: 0.8413447, 2.0: 1.9544997}


def test_published_values():
    table = Gelu(in_exp=-5, out_exp=-6).table()
    for x, y in PUBLISHED.items():
        want = min(127, math.floor(y * 64 + 0.5))
        assert table[int(x * 32) + 128] == want, x


@pytest.mark.parametrize("in_exp", [-7, -5, -4, -2])
@pytest.mark.parametrize("out_exp", [-7, -5, -3])
def test_every_entry_is_rounded_half_up_and_saturated(in_exp, out_exp):
    table = Gelu(in_exp=in_exp, out_exp=out_exp, zero=-100).table()
    assert table.dtype == np.int8
    assert table.shape == (256,)
    for q in range(-128, 128):
        x = q * 2.0**in_exp
        y = x * 0.5 * math.erfc(-x / math.sqrt(2)) / 2.0**out_exp
        want = min(127, max(-128, math.floor(y + 0.5) + 100))
        assert table[q + 128] == want, q


def test_clip_caps_the_output():
    free, capped = (Gelu(in_exp=-4, out_exp=-5, clip=c).table() for c in (None, 1.5))
    assert free.max() == 127
    assert capped.max() == 48
    same = free <= 48
    assert np.array_equal(free[same], capped[same])


def test_four_bits_are_sixteen_levels_from_the_offset_on():
    table = Gelu(in_exp=-4, out_exp=-3, zero=7, bits=4).table()
    whole = Gelu(in_exp=-4, out_exp=-3).table()
    assert np.array_equal(table, np.clip(whole.astype(int) - 7, -8, 7))
    assert (table.min(), table.max()) == (-8, 7)


def test_compute_looks_every_value_up():
    table = np.random.default_rng(0).permutation(np.arange(-128, 128)).astype(np.int8)
    assert np.array_equal(Gelu.compute(np.arange(-128, 128), table), table)
