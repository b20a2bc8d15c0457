"""Token statistics against the golden sums, with their memory around them."""

import numpy as np
import pytest
from amaranth.hdl import Module, Signal, signed
from amaranth.sim import Simulator

from golden.ops.layernorm import LayerNorm
from hw.array.drain.token_statistics import TokenStatistics, square
from hw.config import PRESETS


def test_square_of_every_byte():
    q = Signal(signed(8))
    value = square(q)
    got = []

    async def bench(ctx):
        for i in range(-128, 128):
            ctx.set(q, i)
            got.append(ctx.get(value))

    m = Module()
    m.d.comb += Signal.like(q).eq(q)
    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    assert got == [i * i for i in range(-128, 128)]


@pytest.mark.parametrize("config", [PRESETS["tiny"], PRESETS["base"]], ids=lambda c: c.name)
def test_rows_of_interleaved_tokens(simulate, config):
    unit = TokenStatistics(config)
    rng = np.random.default_rng(1)
    tokens, sweeps = 3, config.max_channels // config.cols
    q = rng.integers(-128, 128, (sweeps, tokens, config.cols))
    alpha = rng.integers(0, 4, (sweeps, config.cols))
    q[:, 0], q[:, 1] = -128, 127
    alpha[sweeps // 2 :] = 3
    memory = dict.fromkeys(range(tokens), (12345, 54321))  # a restart must forget these
    rows = [(j, t) for j in range(sweeps) for t in range(tokens)]

    async def bench(ctx):
        pending = None
        for i in range(len(rows) + 3):
            ctx.set(unit.row.valid, i < len(rows))
            if pending is not None:
                ctx.set(unit.read.data.s1, memory[pending][0])
                ctx.set(unit.read.data.s2, memory[pending][1])
            if i < len(rows):
                j, t = rows[i]
                ctx.set(unit.row.restart, j == 0)
                ctx.set(unit.row.token, t)
                for c in range(config.cols):
                    ctx.set(unit.q[c], int(q[j, t, c]))
            if 1 <= i <= len(rows):
                for c in range(config.cols):
                    ctx.set(unit.alpha[c], int(alpha[rows[i - 1][0], c]))
            pending = ctx.get(unit.read.addr) if ctx.get(unit.read.en) else None
            if ctx.get(unit.write.en):
                p = unit.write.payload
                memory[ctx.get(p.addr)] = (ctx.get(p.s1), ctx.get(p.s2))
            await ctx.tick()

    simulate(unit, bench)
    flat = q.transpose(1, 0, 2).reshape(tokens, -1)
    s1, s2 = LayerNorm(channels=flat.shape[1]).statistics(flat, alpha.reshape(-1))
    assert memory == {t: (s1[t], s2[t]) for t in range(tokens)}
