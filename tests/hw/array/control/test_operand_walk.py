"""Operand walk beside the loop nest: addresses against the formulas of docs/architecture.md."""

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring

from hw.array.control.loop_nest import LoopNest
from hw.array.control.operand_walk import OperandWalk
from hw.config import PRESETS


class NestAndWalk(wiring.Component):
    """Both with their loops connected."""

    def __init__(self):
        super().__init__({})
        self.nest, self.walk = LoopNest(), OperandWalk(PRESETS["tiny"].change(precision="w4a4"))

    def elaborate(self, platform):
        m = Module()
        m.submodules.nest, m.submodules.walk = nest, walk = self.nest, self.walk
        m.d.comb += [
            walk.begin.eq(nest.begin),
            walk.chunk.eq(nest.chunk),
            walk.group.eq(nest.group),
            walk.tile.eq(nest.tile),
        ]
        return m


@pytest.mark.parametrize("group_outer", [0, 1])
@pytest.mark.parametrize(("w4", "x4"), [(0, 0), (1, 0), (1, 1)])
@pytest.mark.parametrize(
    ("chunks", "groups", "tiles"), [(5, 3, 4), (1, 2, 1), (2, 1, 3), (4, 4, 1)]
)
def test_addresses(simulate, chunks, groups, tiles, w4, x4, group_outer):
    dut = NestAndWalk()
    nest, walk = dut.nest, dut.walk
    fields = {
        "a_addr": 65000, "a_stride": 700, "w_addr": 1234, "w_stride": 40, "p_addr": 99, "w4": w4,
        "x4": x4,
    }  # fmt: skip
    got = []

    async def bench(ctx):
        for again in range(2):  # the second time without a gap, over what the first one left
            ctx.set(nest.begin, 1)
            for name, turns in (("chunks", chunks), ("groups", groups), ("tiles", tiles)):
                ctx.set(nest.loops[name], turns)
            ctx.set(nest.loops.group_outer, group_outer)
            for name, value in fields.items():
                ctx.set(walk.operands[name], value)
            await ctx.tick()
            ctx.set(nest.begin, 0)
            for name in fields:
                ctx.set(walk.operands[name], 1)
            for n in range(chunks * groups * tiles - (1 - again)):
                if n % 5 == 4:  # a cycle without a chunk
                    ctx.set(nest.step, 0)
                    await ctx.tick()
                ctx.set(nest.step, 1)
                got.append(tuple(map(ctx.get, (walk.act, walk.half, walk.weight, walk.params))))
                assert (ctx.get(walk.w4), ctx.get(walk.x4)) == (w4, x4)
                await ctx.tick()

    tiles_of = [(g, t) for g in range(groups) for t in range(tiles)]
    if not group_outer:
        tiles_of.sort(key=lambda at: at[1])
    want = [
        (
            65000 + g * 700 + (2 * c if x4 else c if w4 else c // 2),
            0 if w4 else c % 2,
            1234 + t * 40 + (2 * c if x4 else c),
            99 + t * 40,
        )
        for g, t in tiles_of
        for c in range(chunks)
    ]
    simulate(dut, bench)
    assert max(at for at, *_ in want) > 65535 or groups == 1
    assert got == want[:-1] + want
