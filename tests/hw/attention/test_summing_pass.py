"""Summing pass: which logits become which key, and when a row group is handed on."""

import numpy as np
import pytest

from hw.attention.summing_pass import SummingPass
from hw.config import preset
from hw.isa.latencies import LOGIT_FEED, SUM

CONFIG = preset("tiny").change(name="odd", rows=3, cols=8)
ROWS, COLS = CONFIG.rows, CONFIG.cols
RNG = np.random.default_rng(5)
LOGITS = RNG.integers(-128, 128, (CONFIG.logit_words, ROWS, COLS))
MAXIMA = RNG.integers(-128, 128, (CONFIG.slots, ROWS))


def instructions():
    """Key counts around a logit word, each at another place."""
    for n, keys in enumerate((1, COLS, COLS + 1, 2, 3 * COLS - 1, CONFIG.max_keys)):
        yield {
            "l_addr": 9 * n, "slot": n + 1, "keys": keys, "frac": n % 6, "d_words": 1,
            "shift": 14, "d_addr": n,
        }  # fmt: skip


class Surroundings:
    """Logit memory with waits, maxima, and lanes that show a distance the cycle after its logit."""

    def __init__(self, dut, waits, refuses):
        self.dut, self.waits, self.refuses = dut, waits, refuses
        self.random = np.random.default_rng(6)
        self.groups = []  # (instruction, cycle of its transfer, keys and maxima seen, cycle of o)
        self.keys, self.last, self.maxima = [], [], None

    async def run(self, ctx, work):
        dut, taken, sent = self.dut, [], 0
        logits = distances = None
        for cycle in range(2000):
            ctx.set(dut.instr.valid, sent < len(work))
            ctx.set(dut.instr.payload, work[min(sent, len(work) - 1)])
            ctx.set(dut.logit_read.req.ready, self.random.random() >= self.waits)
            ctx.set(dut.o.ready, self.random.random() >= self.refuses)
            ctx.set(dut.lanes.distance_valid, distances is not None)
            ctx.set(dut.lanes.distances, distances or [0] * ROWS)
            if ctx.get(dut.lanes.load):
                self.maxima = list(ctx.get(dut.lanes.maxima))
            assert ctx.get(dut.distances.put) == (distances is not None)
            if distances is not None:
                assert list(ctx.get(dut.distances.values)) == distances
                self.last.append(ctx.get(dut.distances.last))
            distances = None
            if ctx.get(dut.lanes.sum_valid):
                self.keys.append(list(ctx.get(dut.lanes.sum_logits)))
                distances = [len(self.keys) % 256] * ROWS
            read = ctx.get(dut.logit_read.req.valid) and ctx.get(dut.logit_read.req.ready)
            logits = ctx.get(dut.logit_read.req.payload) if read else None
            slot = ctx.get(dut.max_read.addr) if ctx.get(dut.max_read.en) else None
            leaves = ctx.get(dut.o.valid) and ctx.get(dut.o.ready)
            if leaves:
                group = ctx.get(dut.o.payload)
                self.groups.append((group, taken.pop(0), self.keys, self.maxima, cycle))
                assert self.last == [0] * (len(self.keys) - 1) + [1]
                self.keys, self.last = [], []
            if ctx.get(dut.instr.valid) and ctx.get(dut.instr.ready):
                taken.append(cycle)
                sent += 1
            if len(self.groups) == len(work):
                return
            await ctx.tick()
            noise = self.random.integers(-128, 128, (ROWS, COLS))
            word = noise if logits is None else LOGITS[logits]
            ctx.set(dut.logit_read.data, word.ravel().tolist())
            if slot is not None:
                ctx.set(dut.max_read.data, MAXIMA[slot].tolist())
        pytest.fail("an instruction was not handed on")


@pytest.mark.parametrize(("waits", "refuses"), [(0, 0), (0.4, 0), (0, 0.9), (0.3, 0.6)])
def test_every_key_once_and_the_sums_in_time(simulate, waits, refuses):
    dut, work = SummingPass(CONFIG), list(instructions())
    seen = Surroundings(dut, waits, refuses)

    async def bench(ctx):
        await seen.run(ctx, work)
        assert not ctx.get(dut.fault)

    simulate(dut, bench)
    before = None
    for instr, (group, start, keys, maxima, end) in zip(work, seen.groups, strict=True):
        assert {name: group[name] for name in instr} == instr
        words = LOGITS[instr["l_addr"] :][: -(-instr["keys"] // COLS)]
        want = words.transpose(0, 2, 1).reshape(-1, ROWS)[: instr["keys"]]
        assert (np.array(keys) == want).all()
        assert list(maxima) == MAXIMA[instr["slot"]].tolist()
        shortest = LOGIT_FEED - 1 + instr["keys"] + SUM
        assert end - start >= shortest
        if not waits and not refuses:
            assert end - start == shortest
            assert before in (None, start), "the next one begins as one leaves"
        before = end


@pytest.mark.parametrize(
    "change",
    [{"keys": 0}, {"frac": 6}, {"shift": 7}, {"d_words": 0}, {"slot": CONFIG.slots}],
    ids=str,
)
def test_an_illegal_instruction_ends_it(simulate, change):
    dut = SummingPass(CONFIG)
    good = next(instructions())

    async def bench(ctx):
        ctx.set(dut.instr.payload, good | change)
        ctx.set(dut.instr.valid, 1)
        ctx.set(dut.o.ready, 1)
        assert ctx.get(dut.instr.ready)
        await ctx.tick()
        ctx.set(dut.instr.payload, good)
        for _ in range(20):
            assert ctx.get(dut.fault)
            assert not ctx.get(dut.instr.ready)
            assert not ctx.get(dut.busy)
            assert not ctx.get(dut.logit_read.req.valid)
            await ctx.tick()

    simulate(dut, bench)
