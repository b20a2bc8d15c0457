import random

from hw.config import preset
from hw.value_buffer import ValueBuffer


def test_parts_and_read_priority(simulate):
    config = preset("tiny").change(value_words=21)
    rng = random.Random(1)
    dut = ValueBuffer(config)
    parts = config.head_lanes // config.cols
    model = [[None] * parts for _ in range(config.value_words)]
    compared = 0

    async def bench(ctx):
        nonlocal compared
        for _ in range(800):
            at, part = rng.randrange(config.value_words), rng.randrange(parts)
            data = [rng.randrange(256) for _ in range(config.cols)]
            writing = rng.random() < 0.6
            ctx.set(dut.drain_write.en, writing)
            ctx.set(dut.drain_write.payload, {"addr": at, "part": part, "data": data})
            reading = rng.random() < 0.5
            owned, stored = (rng.choice([a for a in range(21) if a != at]) for _ in range(2))
            ctx.set(dut.read.en, reading)
            ctx.set(dut.read.addr, owned)
            ctx.set(dut.store_read.req.valid, 1)
            ctx.set(dut.store_read.req.payload, stored)
            assert bool(ctx.get(dut.store_read.req.ready)) == (not reading)
            want = [
                x for p in model[owned if reading else stored] for x in p or [None] * config.cols
            ]
            if writing:
                model[at][part] = data
            await ctx.tick()
            got, store = list(ctx.get(dut.read.data)), list(ctx.get(dut.store_read.data))
            for w, g, s in zip(want, got, store, strict=True):
                if w is not None:
                    assert w == g % 256 == s
                    compared += 1

    simulate(dut, bench)
    assert compared > 3000
