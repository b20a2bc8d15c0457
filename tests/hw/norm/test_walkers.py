"""The three walkers of NORM, each alone: what they read and offer, in order, whatever waits."""

import numpy as np
import pytest

from hw.config import preset
from hw.norm.residual_feed import AHEAD, ResidualFeed
from hw.norm.step_walk import StepWalk
from hw.norm.token_feed import TokenFeed

#: Two steps share a residual word; with `WHOLE` a word is a step.
SHARED = preset("tiny").change(name="shared", rows=3, cols=8)
WHOLE = preset("tiny").change(name="whole", rows=3)
CONFIGS = pytest.mark.parametrize("config", [SHARED, WHOLE], ids=lambda c: c.name)
WAITS = pytest.mark.parametrize("waits", [0, 0.6])
RNG = np.random.default_rng(3)
SUMS = RNG.integers(0, 4000, (SHARED.max_tokens, 2))
RESIDUALS = RNG.integers(-128, 128, (SHARED.residual_words, SHARED.cols))


def instructions():
    """Runs of tokens of several lengths, each in another place."""
    for n, (count, steps) in enumerate(((1, 2), (4, 6), (7, 2), (3, 4))):
        yield {
            "count": count, "steps": steps, "token": 9 * n, "channels": 20 + n,
            "r_addr": 40 * n, "p_addr": 5 * n, "shift": 20 + n, "d_addr": 100 * n, "d_stride": 3,
        }  # fmt: skip


class Starts:
    """Hands a walker the next instruction as the unit does: ``start``, then ``instr`` holds it."""

    def __init__(self, dut, *, early):
        self.dut, self.early, self.todo = dut, early, list(instructions())

    def offer(self, ctx):
        """Before the edge: start the next one, if the walker is free."""
        go = bool(self.todo) and ctx.get(self.dut.free)
        ctx.set(self.dut.start, go)
        if self.early:
            ctx.set(self.dut.instr, self.todo[0] if go else {})
        return go

    def started(self, ctx, go):
        """After the edge."""
        if go:
            instr = self.todo.pop(0)
            if not self.early:
                ctx.set(self.dut.instr, instr)


@WAITS
def test_tokens_come_in_order_and_one_a_cycle(simulate, waits):
    dut, rng, got = TokenFeed(SHARED), np.random.default_rng(1), []
    starts = Starts(dut, early=True)
    want = [(*SUMS[i["token"] + n], i["channels"])
            for i in instructions() for n in range(i["count"])]  # fmt: skip
    times = []

    async def bench(ctx):
        for cycle in range(500):
            go = starts.offer(ctx)
            ctx.set(dut.token.ready, rng.random() >= waits)
            if ctx.get(dut.token.valid) and ctx.get(dut.token.ready):
                token = ctx.get(dut.token.payload)
                got.append((token.s1, token.s2, token.c))
                times.append(cycle)
            read = ctx.get(dut.stat_read.addr) if ctx.get(dut.stat_read.en) else None
            if len(got) == len(want):
                break
            await ctx.tick()
            starts.started(ctx, go)
            if read is not None:
                ctx.set(
                    dut.stat_read.data, dict(zip(("s1", "s2"), SUMS[read].tolist(), strict=True))
                )
        await ctx.tick()
        assert ctx.get(dut.free)

    simulate(dut, bench)
    assert got == want
    if not waits:
        assert times[0] == 2
        assert np.diff(times[1:5]).tolist() == [1, 1, 1]


@CONFIGS
@WAITS
def test_words_are_fetched_ahead_and_no_further(simulate, config, waits):
    dut, rng, got = ResidualFeed(config), np.random.default_rng(2), []
    starts = Starts(dut, early=False)
    each = config.lanes if config.cols > config.lanes else config.cols
    want = [
        RESIDUALS[i["r_addr"] + n, : config.cols].tolist()
        for i in instructions()
        for n in range(i["count"] * i["steps"] * each // config.cols)
    ]
    requested = 0

    async def bench(ctx):
        nonlocal requested
        for cycle in range(1000):
            go = starts.offer(ctx)
            ctx.set(dut.read.req.ready, rng.random() >= waits)
            ctx.set(dut.words.ready, cycle > 40 and rng.random() >= waits)
            if ctx.get(dut.words.valid) and ctx.get(dut.words.ready):
                got.append(list(ctx.get(dut.words.payload)))
            fire = ctx.get(dut.read.req.valid) and ctx.get(dut.read.req.ready)
            addr = ctx.get(dut.read.req.payload) if fire else None
            requested += fire
            assert requested - len(got) <= AHEAD + 1
            if cycle == 40:
                assert requested == AHEAD
            if len(got) == len(want):
                break
            await ctx.tick()
            starts.started(ctx, go)
            word = rng.integers(-128, 128, config.cols) if addr is None else RESIDUALS[addr]
            ctx.set(dut.read.data, word[: config.cols].tolist())

    simulate(dut, bench)
    assert got == want
    assert requested == len(want)


@CONFIGS
@WAITS
def test_steps_have_their_channels_parameters_and_places(simulate, config, waits):
    dut, rng, got = StepWalk(config), np.random.default_rng(4), []
    starts = Starts(dut, early=False)
    part = config.cols // config.lanes
    want, words, times = [], [], []
    for i in instructions():
        for token in range(i["count"]):
            group, bank = divmod(token, config.rows)
            for step in range(i["steps"]):
                if step % part == 0:
                    words.append(RESIDUALS[len(words), : config.cols].tolist())
                first = step % part * config.lanes
                last = step == i["steps"] - 1
                want.append((
                    words[-1][first : first + config.lanes], last, i["shift"], i["p_addr"] + step,
                    i["d_addr"] + group * i["d_stride"] + step // 2, bank, step % 2,
                    last and token == i["count"] - 1,
                ))  # fmt: skip

    async def bench(ctx):
        used = 0
        for cycle in range(2000):
            go = starts.offer(ctx)
            ctx.set(dut.words.valid, used < len(words) and rng.random() >= waits)
            ctx.set(dut.words.payload, words[min(used, len(words) - 1)])
            ctx.set(dut.step.ready, rng.random() >= waits)
            if ctx.get(dut.step.valid) and ctx.get(dut.step.ready):
                s = ctx.get(dut.step.payload)
                place = s.tag.addr, s.tag.bank, s.tag.half, s.tag.end
                got.append((list(s.q), s.last, s.shift, s.word, *place))
                times.append(cycle)
            used += ctx.get(dut.words.valid) and ctx.get(dut.words.ready)
            if len(got) == len(want):
                break
            await ctx.tick()
            starts.started(ctx, go)
        await ctx.tick()
        assert ctx.get(dut.idle)
        assert used == len(words)

    simulate(dut, bench)
    assert got == want
    if not waits:
        assert set(np.diff(times)) == {1}, "a pause between steps or instructions"


def test_places_beyond_the_memories_are_told_and_not_used(simulate):
    fetch, walk = ResidualFeed(SHARED), StepWalk(SHARED)
    far = {"count": 2, "steps": 2, "r_addr": SHARED.residual_words - 1, "d_addr": SHARED.act_words}

    async def start(ctx, dut):
        ctx.set(dut.instr, far)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)

    async def fetching(ctx):
        reads = 0
        await start(ctx, fetch)
        ctx.set(fetch.read.req.ready, 1)
        for _ in range(10):
            reads += ctx.get(fetch.read.req.valid)
            await ctx.tick()
        assert reads == 1
        assert ctx.get(fetch.outside)

    async def walking(ctx):
        await start(ctx, walk)
        ctx.set(walk.words.valid, 1)
        ctx.set(walk.step.ready, 1)
        for _ in range(5):
            assert not ctx.get(walk.step.valid)
            await ctx.tick()
        assert ctx.get(walk.outside)

    simulate(fetch, fetching)
    simulate(walk, walking)
