"""PoT requantizer: exhaustive over a small accumulator, corners and random values at full width."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from golden.ops.requantize import Requantize


def run(params, accs, shifts):
    unit = params.create()
    got = []

    async def bench(ctx):
        for acc, shift in zip(accs, shifts, strict=True):
            ctx.set(unit.acc, int(acc))
            ctx.set(unit.shift, int(shift))
            await ctx.delay(1e-9)
            got.append(ctx.get(unit.y))

    simulator = Simulator(unit)
    simulator.add_testbench(bench)
    simulator.run()
    return np.array(got)


@pytest.mark.parametrize(
    "params",
    [
        Requantize(acc_bits=10, out_bits=8, shift_bits=5),
        Requantize(acc_bits=9, out_bits=4, shift_bits=4),
        Requantize(acc_bits=6, out_bits=8, shift_bits=4),
    ],
    ids=str,
)
def test_exhaustive(params):
    half, span = 1 << (params.acc_bits - 1), 1 << (params.shift_bits - 1)
    accs, shifts = (a.ravel() for a in np.mgrid[-half:half, -span:span])
    got = run(params, accs, shifts)
    want = params.compute(accs, shifts)
    np.testing.assert_array_equal(got, want)
    limit = 1 << (params.out_bits - 1)
    assert {-limit, limit - 1} <= set(got)


def test_full_width_corners_and_random():
    params = Requantize()
    rng = np.random.default_rng(5)
    edges = {0, 1, -1, (1 << 31) - 1, -1 << 31}
    for bit in range(31):
        for value in (1 << bit, -1 << bit, 127 << max(bit - 7, 0), -129 << max(bit - 7, 0)):
            edges |= {value - 1, value, value + 1}
    edges = np.array(sorted(e for e in edges if -1 << 31 <= e < 1 << 31))
    accs, shifts = (a.ravel() for a in np.meshgrid(edges, np.arange(-32, 32)))
    more = rng.integers(-1 << 31, 1 << 31, 20000) >> rng.integers(0, 31, 20000)
    accs = np.concatenate([accs, more])
    shifts = np.concatenate([shifts, rng.integers(-32, 32, 20000)])
    np.testing.assert_array_equal(run(params, accs, shifts), params.compute(accs, shifts))
