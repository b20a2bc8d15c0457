import random

import pytest

from hw.buffers.value import ValueBuffer
from hw.config import preset


@pytest.mark.parametrize(
    "changes",
    [{}, {"cols": 8}, {"head_lanes": 64, "value_words": 24}, {"head_lanes": 8}],
    ids=["half-words", "whole-words", "eight-banks", "one-bank"],
)
def test_parts_become_words_of_several_tokens(simulate, changes):
    config = preset("tiny").change(**{"value_words": 22} | changes)
    rng = random.Random(1)
    dut = ValueBuffer(config)
    parts, together = config.head_lanes // config.cols, config.keys_per_cycle
    tokens = [[None] * config.head_lanes for _ in range(config.value_words)]
    compared = 0

    def word(at):
        """A word as the contract has it: P tokens, 2K channels of each."""
        first = at % together * config.act_bytes
        rows = tokens[at - at % together :][:together]
        return [x for row in rows for x in row[first : first + config.act_bytes]]

    async def bench(ctx):
        nonlocal compared
        for _ in range(1500):
            at, part = rng.randrange(config.value_words), rng.randrange(parts)
            data = [rng.randrange(256) for _ in range(config.cols)]
            writing = rng.random() < 0.7
            ctx.set(dut.drain_write.en, writing)
            ctx.set(dut.drain_write.payload, {"addr": at, "part": part, "data": data})
            written = at - at % together + part * config.cols // config.act_bytes
            reading = rng.random() < 0.5
            others = [a for a in range(config.value_words) if a != written]
            owned, stored = rng.choice(others), rng.choice(others)
            ctx.set(dut.read.en, reading)
            ctx.set(dut.read.addr, owned)
            ctx.set(dut.store_read.req.valid, 1)
            ctx.set(dut.store_read.req.payload, stored)
            assert bool(ctx.get(dut.store_read.req.ready)) == (not reading)
            want = word(owned if reading else stored)
            if writing:
                tokens[at][part * config.cols : (part + 1) * config.cols] = data
            await ctx.tick()
            got, store = list(ctx.get(dut.read.data)), list(ctx.get(dut.store_read.data))
            for w, g, s in zip(want, got, store, strict=True):
                if w is not None:
                    assert w == g % 256 == s
                    compared += 1

    simulate(dut, bench)
    assert compared > 4000
