"""Coding pass: every code to its key and its word of the logits, whatever waits."""

import numpy as np
import pytest

from hw.attention.coding_pass import CodingPass
from hw.config import preset
from hw.isa.latencies import CODE, READ

CONFIG = preset("tiny").change(name="odd", rows=3, cols=8)
ROWS, COLS = CONFIG.rows, CONFIG.cols


def work(rng):
    """Instructions with their groups' distances, [key][row]."""
    for n, keys in enumerate((1, COLS, COLS + 1, 2, 3 * COLS - 1, 17)):
        instr = {
            "l_addr": 5 * n, "keys": keys, "half": n & 1, "fq": n >> 1 & 1, "odd": 300 + n,
            "even": 500 - n, "write_codes": n != 3, "d_addr": n,
        }  # fmt: skip
        yield instr, rng.integers(0, 256, (keys, ROWS))


def code_of(distances, rule):
    """Stands for the lanes: any function of a distance and the rule of its group."""
    return [(7 * int(d) + rule) % 32 for d in distances]


class Surroundings:
    """Store of distances, lanes of `CODE` enabled cycles, stores and memory of codes."""

    def __init__(self, dut, groups, refuses, waits):
        self.dut, self.groups = dut, groups
        self.refuses, self.waits = refuses, waits
        self.random = np.random.default_rng(8)
        self.codes, self.written, self.times = [[]], {}, []

    async def run(self, ctx):
        dut, lanes = self.dut, self.dut.lanes
        pipeline, rule, sent, shown = [[0] * ROWS] * CODE, None, 0, 0
        for cycle in range(3000):
            ctx.set(dut.i.valid, sent < len(self.groups))
            ctx.set(dut.i.payload, self.groups[min(sent, len(self.groups) - 1)][0])
            ctx.set(dut.o.ready, self.random.random() >= self.refuses)
            ctx.set(dut.code_write.ready, self.random.random() >= self.waits)
            ctx.set(lanes.codes, pipeline[-1])
            assert ctx.get(lanes.take) == (ctx.get(dut.i.valid) and ctx.get(dut.i.ready))
            if ctx.get(dut.codes.put):
                self.codes[-1].append(list(ctx.get(dut.codes.values)))
            write = dut.code_write
            if ctx.get(write.valid) and ctx.get(write.ready):
                assert ctx.get(write.payload.addr) not in self.written, "written twice"
                self.written[ctx.get(write.payload.addr)] = list(ctx.get(write.payload.data))
            leaves = ctx.get(dut.o.valid) and ctx.get(dut.o.ready)
            assert leaves == (ctx.get(dut.codes.put) and ctx.get(dut.codes.last))
            if leaves:
                self.codes.append([])
                self.times[len(self.codes) - 2].append(cycle)
            enabled, read = ctx.get(lanes.en), ctx.get(dut.distances.read.en)
            addr, released = ctx.get(dut.distances.read.addr), ctx.get(dut.distances.release)
            given = list(ctx.get(lanes.code_distances))
            if ctx.get(lanes.take):
                rules = {
                    "half": lanes.half, "fq": lanes.fq, "odd": lanes.odd, "even": lanes.even,
                }  # fmt: skip
                new = {name: ctx.get(value) for name, value in rules.items()}
                assert new == {name: self.groups[sent][0][name] for name in new}
                rule, sent = new["odd"], sent + 1
                self.times.append([cycle])
            if sent == len(self.groups) and not ctx.get(dut.busy) and ctx.get(dut.written):
                return
            await ctx.tick()
            if enabled:
                pipeline = [code_of(given, rule), *pipeline[:-1]]
            if read:
                ctx.set(dut.distances.read.data, self.groups[shown][1][addr].tolist())
                shown += released
        pytest.fail("a group was not handed on")


@pytest.mark.parametrize(("refuses", "waits"), [(0, 0), (0.8, 0), (0, 0.9), (0.5, 0.5)])
def test_codes_reach_the_store_and_the_logits(simulate, refuses, waits):
    rng = np.random.default_rng(7)
    groups = list(work(rng))
    dut = CodingPass(CONFIG)
    seen = Surroundings(dut, groups, refuses, waits)
    simulate(dut, seen.run)

    words = 0
    for (instr, distances), codes in zip(groups, seen.codes[:-1], strict=True):
        want = [code_of(key, instr["odd"]) for key in distances]
        assert codes == want
        count = -(-instr["keys"] // COLS)
        for w in range(count if instr["write_codes"] else 0):
            keys = np.zeros((COLS, ROWS), int)
            part = np.array(want[w * COLS : (w + 1) * COLS])
            keys[: len(part)] = part
            assert seen.written.pop(instr["l_addr"] + w) == keys.T.ravel().tolist()
            words += 1
    assert not seen.written, "codes where none were to be written"
    assert words == 1 + 1 + 2 + 3 + 3
    for (instr, _), (start, end) in zip(groups, seen.times, strict=True):
        assert end - start >= instr["keys"] + READ + CODE
        if not refuses and not waits:
            assert end - start == instr["keys"] + READ + CODE
