import random

import pytest

from hw.isa.limits import SEMAPHORE_BITS
from hw.sequencer.semaphores import UNITS, WAIT_BITS, Semaphores

LIMIT = (1 << SEMAPHORE_BITS) - 1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_against_a_model(simulate, seed):
    rng = random.Random(seed)
    dut = Semaphores()
    count = [[0] * UNITS for _ in range(UNITS)]
    takes = 0

    async def bench(ctx):
        nonlocal takes
        for _ in range(600):
            signals = [rng.randrange(1 << UNITS) if rng.random() < 0.7 else 0 for _ in range(UNITS)]
            waits = [[rng.choice((0, 1, 2, 5, 255)) for _ in range(UNITS)] for _ in range(UNITS)]
            for u in range(UNITS):
                ctx.set(dut.signal[u], signals[u])
                ctx.set(dut.wait[u], waits[u])
                ctx.set(dut.take[u], 0)
            for c in range(UNITS):
                fits = [count[p][c] >= waits[c][p] for p in range(UNITS)]
                assert ctx.get(dut.fits[c]) == sum(f << p for p, f in enumerate(fits))
                if all(fits) and rng.random() < 0.8:
                    ctx.set(dut.take[c], 1)
                    takes += 1
                    for p in range(UNITS):
                        count[p][c] -= waits[c][p]
            for p in range(UNITS):
                for c in range(UNITS):
                    count[p][c] += signals[p] >> c & 1
            assert not ctx.get(dut.overflow)
            await ctx.tick()

    simulate(dut, bench)
    assert takes > 50


@pytest.mark.parametrize(("p", "c"), [(0, 0), (1, 4), (4, 2)])
def test_overflow_is_reported_and_does_not_wrap(simulate, p, c):
    dut = Semaphores()

    async def bench(ctx):
        ctx.set(dut.signal[p], 1 << c)
        for _ in range(LIMIT):
            assert not ctx.get(dut.overflow)
            await ctx.tick()
        assert ctx.get(dut.overflow)
        await ctx.tick()
        ctx.set(dut.signal[p], 0)
        assert not ctx.get(dut.overflow)
        ctx.set(dut.wait[c][p], (1 << WAIT_BITS) - 1)
        ctx.set(dut.take[c], 1)
        left = LIMIT
        while left >= (1 << WAIT_BITS) - 1:
            assert ctx.get(dut.fits[c]) == (1 << UNITS) - 1
            left -= (1 << WAIT_BITS) - 1
            await ctx.tick()
        assert ctx.get(dut.fits[c]) == (1 << UNITS) - 1 - (1 << p)

    simulate(dut, bench)


def test_signal_and_take_in_one_cycle_at_the_limit(simulate):
    dut = Semaphores()

    async def bench(ctx):
        ctx.set(dut.signal[1], 1)
        for _ in range(LIMIT):
            await ctx.tick()
        ctx.set(dut.wait[0][1], 1)
        ctx.set(dut.take[0], 1)
        assert not ctx.get(dut.overflow)

    simulate(dut, bench)
