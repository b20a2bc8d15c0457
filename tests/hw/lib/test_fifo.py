import random

import pytest

from hw.lib.fifo import Fifo


@pytest.mark.parametrize("depth", [1, 2, 8, 13])
def test_order_and_level(simulate, depth):
    rng = random.Random(depth)
    words = [rng.randrange(1 << 8) for _ in range(200)]
    fifo = Fifo(8, depth)
    got, seen_full = [], False

    async def bench(ctx):
        nonlocal seen_full
        sent = 0
        while len(got) < len(words):
            busy = (len(got) // 40) % 2  # alternate between filling up and running dry
            ctx.set(fifo.i.valid, sent < len(words) and rng.random() < (0.9 if busy else 0.4))
            ctx.set(fifo.i.payload, words[sent] if sent < len(words) else 0)
            ctx.set(fifo.o.ready, rng.random() < (0.3 if busy else 0.9))
            assert ctx.get(fifo.level) == sent - len(got)
            seen_full |= sent - len(got) == depth + 1
            if sent - len(got) < depth:
                assert ctx.get(fifo.i.ready)
            push = ctx.get(fifo.i.valid) and ctx.get(fifo.i.ready)
            if ctx.get(fifo.o.valid) and ctx.get(fifo.o.ready):
                got.append(ctx.get(fifo.o.payload))
            sent += push
            await ctx.tick()

    simulate(fifo, bench)
    assert got == words
    assert seen_full


def test_one_word_per_cycle(simulate):
    fifo = Fifo(8, 4)
    got = []

    async def bench(ctx):
        ctx.set(fifo.o.ready, 1)
        ctx.set(fifo.i.valid, 1)
        for cycle in range(22):
            ctx.set(fifo.i.payload, cycle)
            assert ctx.get(fifo.i.ready)
            if ctx.get(fifo.o.valid):
                got.append((cycle, ctx.get(fifo.o.payload)))
            await ctx.tick()

    simulate(fifo, bench)
    assert got == [(cycle, cycle - 2) for cycle in range(2, 22)]
