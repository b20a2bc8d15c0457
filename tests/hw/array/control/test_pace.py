"""Pace: what it does in each cycle, by the rules of its docstring and the cycle count of a tile."""

import itertools
import random

import pytest

from hw.array.control.pace import Pace
from hw.config import PRESETS
from hw.isa.limits import MIN_TILE, PARAM_GAP
from sim.benches.array_model import tile_cycles

CONFIGS = [
    PRESETS["tiny"],
    PRESETS["base"],
    PRESETS["tiny"].change(name="two-rows", rows=2, lanes=2, cols=4, head_lanes=8),
]


def instructions(rng, count):
    """(keeps its parameters, shares them, [(chunks, begins a sweep) of each tile])."""
    made = []
    for n in range(count):
        keep = n > 0 and rng.random() < 0.3
        shared = keep or rng.random() < 0.3
        sweeps = [False] + [rng.random() < 0.5 for _ in range(rng.randrange(5))]
        made.append((keep, shared, [(rng.choice([1, 2, 3, 9, 30]), s) for s in sweeps]))
    return made


class Follower:
    """Plays the loop nest: tells the pace where the instruction stands, and looks at each cycle."""

    def __init__(self, dut, work, rng, *, const=1.0, wait=0.0):
        self.dut, self.rng, self.const, self.wait = dut, rng, const, wait
        self.work, self.now = list(work), None
        self.tile = self.chunk = 0
        self.log = []  # what each cycle did

    def cycle(self, ctx):
        """Drive, look, go on; false once all work is done."""
        dut, offer = self.dut, bool(self.work) and self.rng.random() >= self.wait
        ctx.set(dut.instr.valid, offer)
        if self.work:
            ctx.set(dut.instr.p.keep_params, self.work[0][0])
            ctx.set(dut.instr.p.shared_params, self.work[0][1])
        tiles = self.now[2] if self.now else [(1, False)]
        last_chunk = self.chunk == tiles[self.tile][0] - 1
        last_tile = self.tile == len(tiles) - 1
        const = self.rng.random() < self.const
        ctx.set(dut.last_chunk, last_chunk)
        ctx.set(dut.last, last_chunk and last_tile)
        ctx.set(dut.new_sweep, last_chunk and (last_tile or tiles[self.tile + 1][1]))
        ctx.set(dut.const_ready, const)
        issue, fetch, finish = ctx.get(dut.issue), ctx.get(dut.fetch), ctx.get(dut.finish)
        stalls = [
            name for name in ("no_instr", "const", "pace", "params") if ctx.get(dut.stall[name])
        ]
        assert ctx.get(dut.busy) == (self.now is not None)
        assert finish == (issue and last_chunk)
        assert not (finish and not const)
        assert len(stalls) == (not issue)
        what = stalls[0] if stalls else "finish" if finish else "chunk"
        self.log.append(f"word {ctx.get(dut.word)}" if fetch else what)
        assert not fetch or what == "params"
        taken = offer and ctx.get(dut.instr.ready)
        assert ctx.get(dut.instr.ready) == (self.now is None or (finish and last_tile))
        if issue:
            assert self.now is not None
            self.chunk = 0 if finish else self.chunk + 1
            self.tile += finish
        if finish and last_tile:
            self.now, self.tile = None, 0
        if taken:
            self.now = self.work.pop(0)
        return self.now is not None or self.work


def play(simulate, config, work, rng, **rates):
    follower = Follower(Pace(config), work, rng, **rates)

    async def bench(ctx):
        for _ in range(100_000):
            going = follower.cycle(ctx)
            await ctx.tick()
            if not going:
                return
        pytest.fail("no end")

    simulate(follower.dut, bench)
    return follower.log


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
def test_no_cycle_is_lost(simulate, config):
    """With everything at hand a tile takes its documented cycles, and stalls say which ones."""
    rng = random.Random(1)
    work = instructions(rng, 40)
    log = play(simulate, config, work, rng)
    ends = [cycle for cycle, what in enumerate(log) if what == "finish"]
    tiles = [
        (chunks, not keep if number == 0 else sweep and not shared)
        for keep, shared, parts in work
        for number, (chunks, sweep) in enumerate(parts)
    ]
    assert len(ends) == len(tiles)
    assert log[0] == "no_instr"
    assert ends[0] == config.param_words + tiles[0][0]
    spans = [b - a for a, b in itertools.pairwise(ends)]
    assert spans == [tile_cycles(config, chunks, fetch) for chunks, fetch in tiles[1:]]
    assert "const" not in log
    assert "no_instr" not in log[1:]
    assert "word 0" in log
    assert "pace" in log


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
@pytest.mark.parametrize("seed", range(3))
def test_rules_hold_whatever_waits(simulate, config, seed):
    rng = random.Random(seed)
    work = instructions(rng, 60)
    log = play(simulate, config, work, rng, const=0.5, wait=0.7)
    since, words = 100, []
    fetched = 0
    for what in log:
        since += 1
        if what.startswith("word"):
            assert since >= PARAM_GAP
            words.append(what)
            fetched += 1
        if what == "finish":
            assert since >= max(config.rows, MIN_TILE)
            assert words in ([], [f"word {n}" for n in range(config.param_words)])
            since, words = 0, []
    due = sum(
        (not keep) + (0 if shared else sum(sweep for _, sweep in parts))
        for keep, shared, parts in work
    )
    assert fetched == due * config.param_words
    assert "const" in log
    assert "no_instr" in log[1:]
