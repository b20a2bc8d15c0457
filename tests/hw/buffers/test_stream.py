import random
from collections import Counter

import pytest

from hw.buffers.stream import StreamBuffer
from hw.config import preset

POINTS = {
    f"{name}-{precision}": preset("tiny").change(precision=precision, **changes)
    for precision in ("w4a8", "w4a4")
    for name, changes in {
        "tiny": {"stream_words": 24},  # Cn = K
        "wide": {"stream_words": 31, "cols": 8},  # Cn = 2K: even and odd words
    }.items()
}


@pytest.mark.parametrize("point", POINTS)
def test_random_traffic(simulate, point):
    config = POINTS[point]
    rng = random.Random(point)
    dut = StreamBuffer(config)
    cols, lanes, narrow = config.cols, config.lanes, config.precision == "w4a4"
    per_key = cols // lanes
    model = [[None] * cols for _ in range(config.stream_words)]
    seen = Counter()

    async def bench(ctx):
        load = None
        for n in range(1500):
            keyed = n > 100 and rng.random() < 0.4
            key_at = rng.randrange(config.stream_words - per_key + 1)
            lane, key = rng.randrange(cols), [rng.randrange(256) for _ in range(cols)]
            written = set(range(key_at, key_at + per_key)) if keyed else set()
            ctx.set(dut.key_write.en, keyed)
            ctx.set(dut.key_write.payload, {"addr": key_at, "lane": lane, "data": key})
            if load is None and rng.random() < 0.8:
                load = {
                    "addr": rng.randrange(config.stream_words),
                    "data": [rng.randrange(256) for _ in range(cols * lanes)],
                }
            ctx.set(dut.load_write.valid, load is not None)
            if load is not None:
                ctx.set(dut.load_write.payload, load)
                written.add(load["addr"])
            reading = rng.random() < 0.5
            free = [a for a in range(config.stream_words) if a not in written]
            at = {True: rng.choice(free), False: rng.choice(free)}
            behind = (at[True] + 1) % config.stream_words
            pair = narrow and reading and behind in free and rng.random() < 0.5 and behind > 0
            ctx.set(dut.read.en, reading)
            ctx.set(dut.read.addr, at[True])
            if narrow:
                ctx.set(dut.next.en, pair)
            ctx.set(dut.store_read.req.valid, 1)
            ctx.set(dut.store_read.req.payload, at[False])
            assert bool(ctx.get(dut.store_read.req.ready)) == (not reading)
            want, following = (
                [byte for word in model[a] for byte in word or [None] * lanes]
                for a in (at[reading], behind if pair else at[reading])
            )
            if load is not None:
                assert bool(ctx.get(dut.load_write.ready)) == (not keyed)
                seen["waited"] += keyed
            if keyed:
                for i in range(per_key):
                    model[key_at + i][lane] = key[i * lanes : (i + 1) * lanes]
            elif load is not None:
                for c in range(cols):
                    model[load["addr"]][c] = load["data"][c * lanes : (c + 1) * lanes]
                load = None
            await ctx.tick()
            got, stored = list(ctx.get(dut.read.data)), list(ctx.get(dut.store_read.data))
            for w, g, s in zip(want, got, stored, strict=True):
                if w is not None:
                    assert w == g == s
                    seen["bytes"] += 1
            for w, g in zip(following, ctx.get(dut.next.data) if narrow else (), strict=narrow):
                assert w in (None, g)
                seen["behind"] += pair and w is not None

    simulate(dut, bench)
    assert seen["bytes"] > 10000
    assert seen["waited"] > 100
    assert not narrow or seen["behind"] > 2000
