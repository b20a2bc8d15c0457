import random

import pytest

from hw.lib.register_queue import RegisterQueue


@pytest.mark.parametrize("capacity", [1, 2, 3, 8])
@pytest.mark.parametrize("pauses", [0.0, 0.5])
def test_order_level_and_rate(simulate, capacity, pauses):
    queue = RegisterQueue(8, capacity)
    rng = random.Random(capacity)
    words = [rng.randrange(256) for _ in range(200)]
    got, cycles = [], 0

    async def bench(ctx):
        nonlocal cycles
        sent = 0
        while len(got) < len(words):
            ctx.set(queue.i.valid, sent < len(words) and rng.random() >= pauses)
            ctx.set(queue.i.payload, words[min(sent, len(words) - 1)])
            ctx.set(queue.o.ready, rng.random() >= pauses)
            assert ctx.get(queue.level) == sent - len(got) <= capacity
            sent += ctx.get(queue.i.valid) and ctx.get(queue.i.ready)
            if ctx.get(queue.o.valid) and ctx.get(queue.o.ready):
                got.append(ctx.get(queue.o.payload))
            await ctx.tick()
            cycles += 1

    simulate(queue, bench)
    assert got == words
    if not pauses:
        assert cycles == (2 * len(words) if capacity == 1 else len(words) + 1)
