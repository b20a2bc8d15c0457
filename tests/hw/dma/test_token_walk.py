"""Walk over a token run against the formula of docs/homes.md."""

import numpy as np
import pytest

from hw.config import PRESETS
from hw.dma.token_walk import TokenWalk
from hw.isa.payload import Mem
from sim.benches.token_runs import random_run, segments_of, word_bytes
from sim.kit.unit_points import ODD


def words_of(run, config):
    """(bank, address, bytes, ends its run) of every word."""
    size = word_bytes(run.mem, config)
    segments = list(segments_of(run, config))
    per_run = run.rows * run.segs
    for n, segment in enumerate(segments):
        for i in range(0, segment.bytes_, size):
            last = (n + 1) % per_run == 0 and i + size >= segment.bytes_
            taken = min(size, segment.bytes_ - i)
            yield segment.bank, segment.addr + i // size, taken, last


@pytest.mark.parametrize("config", [PRESETS["base"], PRESETS["tiny"], ODD], ids=lambda c: c.name)
@pytest.mark.parametrize("banked", [True, False])
def test_every_word_of_random_runs(simulate, config, banked):
    walk = TokenWalk(config, banked=banked)
    rng = np.random.default_rng(5)
    runs = [random_run(rng, config) for _ in range(60)]
    runs = [run for run in runs if banked or run.mem is Mem.RESIDUAL]
    compared = 0

    async def bench(ctx):
        nonlocal compared
        for run in runs:
            ctx.set(walk.run, run.values())
            ctx.set(walk.start, 1)
            await ctx.tick()
            ctx.set(walk.start, 0)
            words = list(words_of(run, config))
            for n, (bank, addr, size, ends) in enumerate(words):
                ctx.set(walk.step, 0)
                if rng.random() < 0.2:
                    await ctx.tick()
                if run.mem is Mem.ACT:
                    assert ctx.get(walk.bank) == bank
                assert ctx.get(walk.addr) == addr
                assert ctx.get(walk.size) == size
                assert ctx.get(walk.run_end) == ends
                assert ctx.get(walk.last) == (n + 1 == len(words))
                assert not ctx.get(walk.outside)
                ctx.set(walk.step, 1)
                await ctx.tick()
                compared += 1
            ctx.set(walk.step, 0)

    simulate(walk, bench)
    assert compared > 300


@pytest.mark.parametrize("mem", [Mem.ACT, Mem.RESIDUAL])
def test_steps_that_leave_the_memory_show(simulate, mem):
    """The largest line step and stride from the last word: outside, not back at the beginning."""
    config = PRESETS["tiny"].change(act_words=65536, residual_words=65536)
    walk = TokenWalk(config, banked=True)
    fields = {
        "mem": mem, "addr": 65535, "stride": 4095, "line_addr": 65535, "seg_bytes": 1, "segs": 1,
        "rows": 2, "runs": 1, "beats": 1, "bank": config.rows - 1 if mem is Mem.ACT else 0,
        "line_bank": config.rows - 1 if mem is Mem.ACT else 0,
    }  # fmt: skip

    async def bench(ctx):
        ctx.set(walk.run, fields)
        ctx.set(walk.start, 1)
        await ctx.tick()
        ctx.set(walk.start, 0)
        assert not ctx.get(walk.outside)
        ctx.set(walk.step, 1)
        await ctx.tick()
        assert ctx.get(walk.outside)
        assert ctx.get(walk.addr) == 65535 + 65535 + (4095 if mem is Mem.ACT else 0)

    simulate(walk, bench)
