"""Residual adder against the golden operator, with the requantizer as its special case."""

import numpy as np
import pytest

from golden.ops.requantize import Requantize
from golden.ops.residual import ResidualAdd


def stream(simulate, accs, olds, las, los, shifts):
    """(sum, y) of one operand set a cycle, through the pipeline."""
    unit = ResidualAdd().create()
    sums, ys = [], []
    count = len(accs)

    async def bench(ctx):
        for i in range(count + 2):
            at = min(i, count - 1)
            for port, values in (("acc", accs), ("old", olds), ("la", las), ("lo", los)):
                ctx.set(getattr(unit, port), int(values[at]))
            ctx.set(unit.shift, int(shifts[min(max(i - 1, 0), count - 1)]))
            if i >= 1:
                sums.append(ctx.get(unit.sum))
            if i >= 2:
                ys.append(ctx.get(unit.y))
            await ctx.tick()

    simulate(unit, bench)
    return np.array(sums[:count]), np.array(ys)


def fits_each(total):
    return (total >= -1 << 31) & (total < 1 << 31)


@pytest.mark.parametrize("old_bits", [8, 16])
def test_random_operands_that_fit(simulate, old_bits):
    rng = np.random.default_rng(old_bits)
    n = 6000
    la, lo = rng.integers(0, 32, n), rng.integers(0, 31 - old_bits, n)
    acc = rng.integers(-1 << 31, 1 << 31, n) >> np.maximum(la, rng.integers(0, 30, n))
    old = rng.integers(-1 << (old_bits - 1), 1 << (old_bits - 1), n)
    shift = rng.integers(-3, 32, n)
    legal = fits_each(acc << la) & fits_each((acc << la) + (old << lo))
    acc, old, la, lo, shift = (a[legal] for a in (acc, old, la, lo, shift))
    assert len(acc) > 4000
    sums, ys = stream(simulate, acc, old, la, lo, shift)
    np.testing.assert_array_equal(sums, (acc << la) + (old << lo))
    np.testing.assert_array_equal(ys, ResidualAdd().compute(acc, old, la, lo, shift))
    assert {-128, 127} <= set(ys)
    assert len(set(ys)) > 200


def test_extremes_of_the_sum(simulate):
    acc = np.array([(1 << 31) - 1 - (127 << 3), -(1 << 31) + (128 << 3), 1, -1])
    old, lo = np.array([127, -128, 32767, -32768]), np.array([3, 3, 16, 16])
    la, shift = np.array([0, 0, 4, 31]), np.array([24, 24, 30, 31])
    acc[3] = 0
    sums, ys = stream(simulate, acc, old, la, lo, shift)
    np.testing.assert_array_equal(sums, (acc << la) + (old << lo))
    np.testing.assert_array_equal(ys, ResidualAdd().compute(acc, old, la, lo, shift))


def test_without_old_and_alignment_it_is_the_requantizer(simulate):
    rng = np.random.default_rng(1)
    acc = rng.integers(-1 << 31, 1 << 31, 2000) >> rng.integers(0, 31, 2000)
    shift, zero = rng.integers(-32, 32, 2000), np.zeros(2000, int)
    _, ys = stream(simulate, acc, zero, zero, rng.integers(0, 32, 2000), shift)
    np.testing.assert_array_equal(ys, Requantize().compute(acc, shift))
