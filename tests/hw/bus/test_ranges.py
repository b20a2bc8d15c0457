"""Ranges of a job, and what of them is outside the window."""

import random

import pytest

from hw.bus.burst import BurstSplitter
from hw.bus.ranges import RangeWalk
from hw.config import PRESETS


@pytest.mark.parametrize("beat", [4, 64])
def test_every_range_in_its_order(simulate, beat):
    unit = RangeWalk(16, beat)
    rng = random.Random(1)
    jobs = [
        {
            "offset": rng.randrange(0, 1 << 32, beat), "beats": rng.randrange(1 << 16),
            "runs": rng.choice([1, 1, 2, 7]), "pitch": rng.randrange(0, 1 << 24, beat),
        }
        for _ in range(40)
    ]  # fmt: skip
    wanted = [
        (job["offset"] + n * job["pitch"], job["beats"], n + 1 < job["runs"])
        for job in jobs
        for n in range(job["runs"])
    ]
    got = []

    async def bench(ctx):
        left = list(jobs)
        for _ in range(1000):
            if left:
                ctx.set(unit.i.payload, left[0])
            offered, ready = bool(left) and rng.random() < 0.6, rng.random() < 0.6
            ctx.set(unit.i.valid, offered)
            ctx.set(unit.o.ready, ready)
            moved = ready and ctx.get(unit.o.valid)
            if moved:
                got.append((ctx.get(unit.o.payload.offset), ctx.get(unit.o.payload.beats)))
            if offered and ctx.get(unit.i.ready):
                left.pop(0)
            await ctx.tick()
            if moved:
                got[-1] = (*got[-1], bool(ctx.get(unit.more)))

    simulate(unit, bench)
    assert got == [(at % (1 << 33), beats, more) for at, beats, more in wanted]


@pytest.mark.parametrize("offset", [1 << 32, (1 << 33) - 64])
def test_a_range_beyond_all_windows_is_outside(simulate, offset):
    """An offset that came round to the window's beginning would be inside."""
    unit = BurstSplitter(PRESETS["tiny"])

    async def bench(ctx):
        ctx.set(unit.limit, (1 << 32) - 1)
        ctx.set(unit.o.ready, 1)
        ctx.set(unit.i.payload, {"offset": offset, "beats": 1})
        ctx.set(unit.i.valid, 1)
        for _ in range(5):
            await ctx.tick()
            assert not ctx.get(unit.o.valid)
        assert ctx.get(unit.outside)

    simulate(unit, bench)
