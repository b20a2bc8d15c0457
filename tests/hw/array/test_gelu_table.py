"""GELU table: every input against the exact table, and loading a second one over it."""

import numpy as np
import pytest

from golden.ops.gelu import Gelu


@pytest.mark.parametrize("columns", [1, 4])
def test_every_input_of_two_tables(simulate, columns):
    unit = Gelu.create(columns=columns)
    tables = [Gelu(in_exp=-5, out_exp=-6, zero=20).table(), Gelu(in_exp=-3, out_exp=-3).table()]
    rng = np.random.default_rng(2)
    orders = [np.stack([rng.permutation(256) - 128 for _ in range(columns)], 1) for _ in tables]
    got = []

    async def bench(ctx):
        for table, order in zip(tables, orders, strict=True):
            ctx.set(unit.en, 0)
            ctx.set(unit.load.en, 1)
            for i, entry in enumerate(table):
                ctx.set(unit.load.payload.index, i)
                ctx.set(unit.load.payload.byte, int(entry) & 0xFF)
                await ctx.tick()
            ctx.set(unit.load.en, 0)
            ctx.set(unit.en, 1)
            for x in order:
                for c in range(columns):
                    ctx.set(unit.x[c], int(x[c]))
                await ctx.tick()
                got.append([ctx.get(unit.y[c]) for c in range(columns)])
            ctx.set(unit.en, 0)
            ctx.set(unit.x[0], 3)
            await ctx.tick()
            assert [ctx.get(unit.y[c]) for c in range(columns)] == got[-1], "y holds without en"

    simulate(unit, bench)
    want = np.concatenate([Gelu.compute(o, t) for o, t in zip(orders, tables, strict=True)])
    assert not np.array_equal(*tables)
    np.testing.assert_array_equal(np.array(got), want)
