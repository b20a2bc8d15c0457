import random
from collections import Counter

from hw.buffers.residual import ResidualBuffer, StatisticsBuffer
from hw.config import preset
from hw.formats.statistics import stat_layout

CONFIG = preset("tiny").change(residual_words=23, max_tokens=11)


def test_priorities_and_in_place_update(simulate):
    rng = random.Random(1)
    dut = ResidualBuffer(CONFIG)
    words = CONFIG.residual_words
    model = [None] * words
    seen, writes = Counter(), Counter()

    async def bench(ctx):
        for _ in range(1500):
            at = [rng.randrange(words) for _ in range(3)]
            valid = [rng.random() < 0.5 for _ in range(3)]
            ctx.set(dut.drain_read.en, valid[0])
            ctx.set(dut.drain_read.addr, at[0])
            for i, port in ((1, dut.norm_read), (2, dut.store_read)):
                ctx.set(port.req.valid, valid[i])
                ctx.set(port.req.payload, at[i])
            first = valid.index(True) if any(valid) else None
            for i, port in ((1, dut.norm_read), (2, dut.store_read)):
                if valid[i]:
                    assert bool(ctx.get(port.req.ready)) == (first == i)
            write_at = rng.choice([a for a in range(words) if a not in at])
            data = [rng.randrange(256) for _ in range(CONFIG.cols)]
            drains, loads = rng.random() < 0.6, rng.random() < 0.6
            ctx.set(dut.drain_write.en, drains)
            ctx.set(dut.drain_write.payload, {"addr": write_at, "data": data})
            load_at = rng.choice([a for a in range(words) if a not in at])
            load_data = [rng.randrange(256) for _ in range(CONFIG.cols)]
            ctx.set(dut.load_write.valid, loads)
            ctx.set(dut.load_write.payload, {"addr": load_at, "data": load_data})
            assert ctx.get(dut.load_write.ready) == (not drains)
            want = None if first is None else model[at[first]]
            if drains:
                model[write_at] = data
            elif loads:
                model[load_at] = load_data
            writes[drains, loads] += 1
            await ctx.tick()
            if want is not None:
                port = (dut.drain_read, dut.norm_read, dut.store_read)[first]
                assert [x % 256 for x in ctx.get(port.data)] == want
                seen[first] += 1

    simulate(dut, bench)
    assert all(seen[i] > 50 for i in range(3))
    assert len(writes) == 4, "drain and load never met"


def test_both_copies_of_the_statistics(simulate):
    layout = stat_layout(CONFIG)
    dut = StatisticsBuffer(CONFIG, layout)
    rng = random.Random(2)
    model = {}
    compared = 0

    async def bench(ctx):
        nonlocal compared
        for n in range(300):
            token = n % CONFIG.max_tokens
            s1, s2 = rng.randrange(-(1 << 18), 1 << 18), rng.randrange(1 << 28)
            ctx.set(dut.drain_write.en, 1)
            ctx.set(dut.drain_write.payload, {"addr": token, "s1": s1, "s2": s2})
            readers = (dut.drain_read, dut.norm_read)
            at = [rng.choice([t for t in range(CONFIG.max_tokens) if t != token]) for _ in readers]
            for port, a in zip(readers, at, strict=True):
                ctx.set(port.en, 1)
                ctx.set(port.addr, a)
            await ctx.tick()
            for port, a in zip(readers, at, strict=True):
                if a in model:
                    value = ctx.get(port.data)
                    assert (value.s1, value.s2) == model[a]
                    compared += 1
            model[token] = (s1, s2)

    simulate(dut, bench)
    assert compared > 400
