"""Serial variance and reciprocal root against golden.ops.layernorm."""

import random
from itertools import pairwise

import pytest

from golden.ops.layernorm import LayerNorm, reciprocal_root
from hw.formats.sums import sum_widths
from hw.norm.reciprocal_root import ReciprocalRoot
from hw.norm.token_variance import TokenVariance, variance_bits

EDGES = [v for b in range(48) for v in ((1 << b) - 1, 1 << b, (1 << b) + 1, 3 << b)]


def roots(simulate, channels, variances, *, period=None):
    """Stream ``variances`` through the unit and compare each root, products included."""
    params = LayerNorm(channels=channels)
    unit = ReciprocalRoot(params)
    s1_limit = 1 << (sum_widths(channels)[0] - 1)
    rng = random.Random(channels)
    tokens = [
        (v, rng.choice([1, channels, rng.randint(1, channels)]), rng.randrange(-s1_limit, s1_limit))
        for v in variances
    ]
    times = []

    async def feed(ctx):
        for v, c, s1 in tokens:
            ctx.set(unit.i.payload, {"v": v, "c": c, "s1": s1})
            ctx.set(unit.i.valid, 1)
            await ctx.tick().until(unit.i.ready)
        ctx.set(unit.i.valid, 0)

    async def collect(ctx):
        cycle = 0
        for n, (v, c, s1) in enumerate(tokens):
            ctx.set(unit.o.ready, period is not None)
            while not ctx.get(unit.o.valid):
                await ctx.tick()
                cycle += 1
            for _ in range(0 if period else n % 3):
                await ctx.tick()  # the result waits
            ctx.set(unit.o.ready, 1)
            r, k = reciprocal_root(v)
            got = ctx.get(unit.o.payload)
            assert (got.k, got.scale, got.offset) == (k, c * r, s1 * r), f"V = {v}"
            times.append(cycle)
            await ctx.tick()
            cycle += 1

    simulate(unit, feed, collect)
    assert len(times) == len(variances) > 0
    if period:
        assert {b - a for a, b in pairwise(times)} == {period}


def test_every_small_variance(simulate):
    roots(simulate, 16383, list(range(1 << 11)))


def test_random_variances_of_every_length(simulate):
    rng = random.Random(2)
    variances = [rng.getrandbits(b) | 1 << (b - 1) for b in range(1, 49) for _ in range(20)]
    assert variance_bits(16383) == 48
    roots(simulate, 16383, variances + [v for v in EDGES if v < 1 << 48])


@pytest.mark.parametrize("channels", [100, 256, 1024, 2048])
def test_one_root_in_20_cycles(simulate, channels):
    rng = random.Random(3)
    bits = variance_bits(channels)
    roots(simulate, channels, [rng.getrandbits(bits) | 1 for _ in range(50)], period=20)


@pytest.mark.parametrize("channels", [3, 192, 1024, 2048])
def test_variance(simulate, channels):
    unit = TokenVariance(LayerNorm(channels=channels))
    rng = random.Random(channels)
    tokens = []
    for kind in range(60):
        c = channels if kind % 2 else rng.randint(1, channels)
        spread = rng.choice([0, 1, 30, 1024])
        base = rng.choice([-1024, 0, 1016])
        x = [max(-1024, min(1016, base + rng.randint(-spread, spread))) for _ in range(c)]
        tokens.append((c, sum(x), sum(v * v for v in x)))
    assert any(s1 == -1024 * c for c, s1, _ in tokens)
    got = []

    async def feed(ctx):
        for c, s1, s2 in tokens:
            ctx.set(unit.i.payload, {"s1": s1, "s2": s2, "c": c})
            ctx.set(unit.i.valid, 1)
            await ctx.tick().until(unit.i.ready)
        ctx.set(unit.i.valid, 0)

    async def collect(ctx):
        cycle, last = 0, None
        ctx.set(unit.o.ready, 1)
        while len(got) < len(tokens):
            if ctx.get(unit.o.valid):
                got.append(ctx.get(unit.o.payload.v))
                assert last is None or cycle - last == sum_widths(channels)[0]
                last = cycle
            await ctx.tick()
            cycle += 1

    simulate(unit, feed, collect)
    assert got == [c * s2 - s1 * s1 for c, s1, s2 in tokens]
