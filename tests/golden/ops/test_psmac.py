"""The precision-scalable product equals multiplication, exhaustively."""

import numpy as np

from golden.ops import MacMode, PsMac

BYTES = np.arange(-128, 128)


def test_8x8_equals_multiplication_for_all_operands():
    x, w = np.meshgrid(BYTES, BYTES, indexing="ij")
    got = PsMac(lanes=1).compute(x[..., None], x[..., None], w[..., None], MacMode.W8)
    assert got.size == 65536
    assert np.array_equal(got, x * w)


def test_8x4_equals_two_multiplications_for_all_operands():
    nibbles = np.arange(-8, 8)
    lo, hi = np.meshgrid(nibbles, nibbles, indexing="ij")
    word = (hi << 4) | (lo & 15)
    assert sorted(word.ravel()) == sorted(BYTES)
    x = BYTES[:, None, None, None]
    other = np.array([-128, -1, 0, 1, 127])[:, None, None]
    for x_lo, x_hi in ((x, other), (other, x)):
        x_lo, x_hi, w = np.broadcast_arrays(x_lo, x_hi, word)
        got = PsMac(lanes=1).compute(x_lo[..., None], x_hi[..., None], w[..., None], MacMode.W4)
        assert np.array_equal(got, x_lo * lo + x_hi * hi)


def test_lanes_are_summed():
    rng = np.random.default_rng(0)
    x_lo, x_hi, w = rng.integers(-128, 128, (3, 50, 8))
    assert np.array_equal(PsMac(lanes=8).compute(x_lo, x_lo, w, MacMode.W8), (x_lo * w).sum(-1))
    lo = ((w & 15) ^ 8) - 8
    want = (x_lo * lo + x_hi * (w >> 4)).sum(-1)
    assert np.array_equal(PsMac(lanes=8).compute(x_lo, x_hi, w, MacMode.W4), want)
