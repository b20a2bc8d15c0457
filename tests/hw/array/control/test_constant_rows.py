"""Constant rows: the drain behind it always finds its row, and no tile waits without need."""

import random
from collections import deque

import pytest

from hw.array.control.constant_rows import ConstantRows
from hw.config import PRESETS
from hw.isa.instruction import Mem

CONFIG = PRESETS["tiny"]
#: Cycles from a tile's last chunk to its first row at the FIFO, and at least to the next tile's.
DELAY, APART = 5, CONFIG.rows


@pytest.mark.parametrize("rate", [0.1, 0.5, 1.0])
def test_promises_are_kept(simulate, rate):
    unit = ConstantRows(CONFIG)
    rng = random.Random(1)
    rows_taken = waited = 0

    async def bench(ctx):
        nonlocal rows_taken, waited
        level, promised, wants, age, held = 0, 0, False, 0, 0
        due = deque()  # cycles in which a row leaves the FIFO
        for cycle in range(4000):
            taken = bool(due) and due[0] == cycle
            if taken:
                due.popleft()
                assert level, "the drain found no row"
                rows_taken += 1
            ready = ctx.get(unit.ready)
            age += 1
            begin = cycle == 0 or rng.random() < 0.1
            rows = rng.choice([1, CONFIG.rows])
            finish = cycle > 1 and bool(ready) and age >= APART and held == rows
            held = rows
            ctx.set(unit.rows, rows)
            ctx.set(unit.level, level)
            ctx.set(unit.taken, taken)
            ctx.set(unit.finish, finish)
            ctx.set(unit.begin, begin)
            const, dest = rng.random() < 0.8, rng.choice([Mem.RESIDUAL, Mem.LOGIT, Mem.ACT])
            ctx.set(unit.addition.const_old, const)
            ctx.set(unit.addition.dest, dest)
            await ctx.tick()
            enough = not finish and level >= promised + rows
            if finish:
                age = 0
                if wants:
                    promised += rows
                    start = max(cycle + DELAY, due[-1] + 1 if due else 0)
                    due.extend(range(start, start + rows))
            promised -= taken
            level += (rng.random() < rate and level < CONFIG.const_rows) - taken
            if begin:
                wants = const and dest in (Mem.RESIDUAL, Mem.LOGIT)
                assert ctx.get(unit.ready) == (not wants)
            else:
                assert ctx.get(unit.ready) == (not wants or enough)
                waited += wants and not enough and not finish

    simulate(unit, bench)
    assert rows_taken > 50
    assert waited > 10 or rate > 0.1
