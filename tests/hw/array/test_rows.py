"""Drain sequencer: every row's place against the table of destinations in docs/architecture.md."""

import random

import pytest

from hw.array.drain.rows import DrainSequencer
from hw.config import PRESETS
from hw.isa.instruction import Mem

CONFIG = PRESETS["tiny"]
ROWS, COLS = CONFIG.rows, CONFIG.cols
FIELDS = {"d_addr": 64, "d_stride": 6, "d_step": 2, "token": 3, "sub": 1, "slot": 2}
#: Logits need groups outside, for their maxima.
ORDERS = [(m, o) for m in Mem if m <= Mem.OUT for o in (0, 1) if m != Mem.LOGIT or o]


def tiles(groups, count, group_outer):
    """(group, tile) in the order of the instruction."""
    order = [(g, t) for g in range(groups) for t in range(count)]
    return order if group_outer else sorted(order, key=lambda at: at[1])


def place(dest, g, t, r):
    """What the table says of row ``r`` of row group ``g`` and output tile ``t``."""
    i, base, stride, step = g * ROWS + r, FIELDS["d_addr"], FIELDS["d_stride"], FIELDS["d_step"]
    block, lane = divmod(FIELDS["sub"] + i, COLS)
    return {
        Mem.ACT: {"addr": base + g * stride + t * step, "number": r},
        Mem.STREAM: {"addr": base + block * stride + t * step, "lane": lane},
        Mem.VALUE: {"addr": base + i, "part": FIELDS["sub"] + t},
        Mem.LOGIT: {"addr": base + g * stride + t * step, "number": r, "slot": FIELDS["slot"] + g},
        Mem.RESIDUAL: {"addr": base + i * stride + t * step, "token": FIELDS["token"] + i},
        Mem.OUT: {"addr": base + t},
    }[dest]


@pytest.mark.parametrize(("dest", "group_outer"), ORDERS)
@pytest.mark.parametrize(("groups", "count"), [(3, 4), (4, 1), (1, 3)])
@pytest.mark.parametrize("gap", [0, 5])
def test_places(simulate, dest, group_outer, groups, count, gap):
    """One tile after another, as close as they come or with pauses; two instructions."""
    unit = DrainSequencer(CONFIG)
    rng = random.Random(1)
    order = tiles(groups, count, group_outer)
    got, ends = [], 0

    def look(ctx):
        nonlocal ends
        row = unit.row
        ends += ctx.get(row.last)
        if ctx.get(row.real):
            assert ctx.get(row.valid)
            assert ctx.get(row.dest) == dest
            got.append({name: ctx.get(row[name]) for name in place(dest, 0, 0, 0)})

    async def bench(ctx):
        for _ in range(2):
            for g, t in order:
                ctx.set(unit.load, 1)
                fields = FIELDS | {
                    "dest": dest, "group_outer": group_outer, "cols": COLS,
                    "rows": 1 if g == groups - 1 else ROWS,
                    "instr_first": (g, t) == (0, 0), "instr_last": (g, t) == order[-1],
                    "group_first": g == 0, "tile_first": t == 0, "tile_last": t == count - 1,
                }  # fmt: skip
                for name, value in fields.items():
                    ctx.set(unit.tile[name], value)
                for _ in range(max(ROWS, 4) + rng.randint(0, gap)):
                    look(ctx)
                    await ctx.tick()
                    ctx.set(unit.load, 0)
        for _ in range(ROWS + 1):
            look(ctx)
            await ctx.tick()

    want = [
        place(dest, g, t, r)
        for g, t in order
        for r in range(1 if g == groups - 1 else ROWS)
        if dest != Mem.OUT or (g, r) == (0, 0)
    ]
    simulate(unit, bench)
    assert got == want * 2
    assert ends == 2
