"""Burst splitter and read arbiter."""

import random

import pytest

from hw.bus.burst import BurstSplitter
from hw.bus.read_arbiter import ReadArbiter
from hw.config import PRESETS


@pytest.mark.parametrize(("bus", "burst"), [(4, 16), (8, 5), (32, 16), (32, 128), (64, 64)])
def test_bursts_cover_their_range(simulate, bus, burst):
    config = PRESETS["tiny"].change(
        axi_bytes=bus, burst_beats=burst, const_rows=2 * bus * burst // 8
    )
    unit = BurstSplitter(config)
    rng = random.Random(bus * burst)
    base = 0x8_0000_0000 + 3 * bus
    ranges = [(rng.randrange(9000) * bus, rng.choice([1, 2, 63, 600])) for _ in range(30)]
    lengths = set()

    async def bench(ctx):
        ctx.set(unit.base, base)
        ctx.set(unit.limit, max(o + n * bus for o, n in ranges))  # the largest just fits
        ctx.set(unit.o.ready, 1)
        for offset, beats in ranges:
            ctx.set(unit.i.payload, {"offset": offset, "beats": beats})
            ctx.set(unit.i.valid, 1)
            await ctx.tick().until(unit.i.ready)
            ctx.set(unit.i.valid, 0)
            at, left = base + offset, beats
            while left:
                (burst_,) = await ctx.tick().sample(unit.o.payload).until(unit.o.valid)
                address, count = burst_.address, burst_.address.len + 1
                assert address.addr == at
                assert count <= burst
                assert at // 4096 == (at + count * bus - 1) // 4096
                full = count == burst or (at + count * bus) % 4096 == 0
                assert full or count == left, "needlessly short"
                assert 1 << address.size == bus
                assert address.burst == 1
                at, left = at + count * bus, left - count
                assert burst_.last == (left == 0)
                lengths.add(count)
            await ctx.tick()
            assert ctx.get(unit.idle)
            assert not ctx.get(unit.outside)
            assert not ctx.get(unit.misaligned)

    simulate(unit, bench)
    assert len(lengths) > 2


@pytest.mark.parametrize(
    ("offset", "beats", "fault"),
    [
        (0, 65, "outside"), (504, 2, "outside"), (0xFFFFFFF8, 1, "outside"),
        (0xFFFFFFF8, 65535, "outside"), (4, 1, "misaligned"), (8, 0, "misaligned"),
    ],
)  # fmt: skip
def test_faults_give_no_burst(simulate, offset, beats, fault):
    unit = BurstSplitter(PRESETS["tiny"])

    async def bench(ctx):
        ctx.set(unit.limit, 512)
        ctx.set(unit.i.payload, {"offset": offset, "beats": beats})
        ctx.set(unit.i.valid, 1)
        await ctx.tick()
        for _ in range(20):
            assert not ctx.get(unit.o.valid)
            await ctx.tick()
        assert ctx.get(getattr(unit, fault))

    simulate(unit, bench)


def test_arbiter_routes_bursts_in_order(simulate):
    unit = ReadArbiter(PRESETS["tiny"])
    rng = random.Random(4)
    pending, got = [], {"fetch": [], "load": []}
    total = 60

    def client(name, tag):
        port = getattr(unit, name)

        async def ask(ctx):
            for n in range(total):
                while rng.random() < 0.5:
                    await ctx.tick()
                ctx.set(port.ar.payload, {"addr": tag << 20 | n, "len": rng.randint(0, 3)})
                ctx.set(port.ar.valid, 1)
                await ctx.tick().until(port.ar.ready)
                ctx.set(port.ar.valid, 0)

        async def take(ctx):
            r = port.r
            while len(got[name]) < total:
                ctx.set(r.ready, rng.random() < 0.7)
                _, _, transfer, beat = await ctx.tick().sample(r.valid & r.ready, r.payload)
                if transfer and beat.last:
                    got[name].append(beat.data)

        return ask, take

    async def addresses(ctx):
        ar, held = unit.bus.ar, None
        while len(got["fetch"]) < total or len(got["load"]) < total:
            ready = rng.random() < 0.6
            ctx.set(ar.ready, ready)
            _, _, valid, shown = await ctx.tick().sample(ar.valid, ar.payload)
            burst = (shown.addr, shown.len) if valid else None
            assert held in (None, burst), "address changed while waiting"
            held = None if ready else burst
            if ready and burst:
                pending.append(burst)

    async def data(ctx):
        r = unit.bus.r
        while len(got["fetch"]) < total or len(got["load"]) < total:
            if not pending or rng.random() < 0.2:
                await ctx.tick()
                continue
            addr, length = pending.pop(0)
            for beat in range(length + 1):
                ctx.set(r.payload, {"data": addr, "last": beat == length})
                ctx.set(r.valid, 1)
                await ctx.tick().until(r.ready)
            ctx.set(r.valid, 0)

    simulate(unit, *client("fetch", 1), *client("load", 2), addresses, data)
    assert got["fetch"] == [1 << 20 | n for n in range(total)]
    assert got["load"] == [2 << 20 | n for n in range(total)]
