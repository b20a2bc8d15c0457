"""Two-level walk: both orders against the product form, and pulses in any order."""

import random

import pytest
from amaranth.lib import data

from hw.lib.two_level_walk import TwoLevelWalk

WIDTHS = {"addr": 17, "lane": 3}
PLACE = data.StructLayout(WIDTHS)
START, ALONG, ACROSS = {"addr": 1000, "lane": 5}, {"addr": 77, "lane": 1}, {"addr": 9, "lane": 2}


def place(i, j):
    """The place of step ``i`` of line ``j``, with the multiplications that the walk avoids."""
    return {n: (START[n] + i * ALONG[n] + j * ACROSS[n]) % (1 << WIDTHS[n]) for n in START}


def put(ctx, port, values):
    for name, value in values.items():
        ctx.set(port[name], value)


def get(ctx, port):
    return {name: ctx.get(port[name]) for name, _ in port.shape()}


@pytest.mark.parametrize("blocks_outside", [False, True])
@pytest.mark.parametrize(("block", "blocks", "lines"), [(3, 4, 5), (1, 3, 2), (4, 1, 3), (2, 3, 1)])
@pytest.mark.parametrize("pause", [False, True], ids=["at-once", "later"])
def test_both_orders(simulate, block, blocks, lines, blocks_outside, pause):
    """The jump comes in the cycle of a block's last step, or after a while."""
    walk = TwoLevelWalk(PLACE)
    order = [(b, j) for b in range(blocks) for j in range(lines)]
    if not blocks_outside:
        order.sort(key=lambda at: at[1])
    walked = []

    async def bench(ctx):
        put(ctx, walk.along, ALONG)
        put(ctx, walk.across, ACROSS)
        for number, (b, j) in enumerate(order):
            pulse = None
            if number == 0:
                put(ctx, walk.start, START)
                pulse = walk.begin
            elif blocks_outside:
                pulse = walk.cross if j else walk.resume
            elif b == 0:
                pulse = walk.cross
            if pulse is not None:
                ctx.set(pulse, 1)
            if pause or number == 0:
                ctx.set(walk.step, 0)
            await ctx.tick()
            put(ctx, walk.start, {"addr": 1, "lane": 1})
            if pulse is not None:
                ctx.set(pulse, 0)
            for i in range(b * block, (b + 1) * block):
                walked.append((i, j, get(ctx, walk.at)))
                ctx.set(walk.step, 1)
                if i < (b + 1) * block - 1 or pause:
                    await ctx.tick()
                    ctx.set(walk.step, 0)

    simulate(walk, bench)
    assert walked == [
        (i, j, place(i, j)) for b, j in order for i in range(b * block, (b + 1) * block)
    ]


@pytest.mark.parametrize("seed", range(3))
def test_pulses_in_any_order(simulate, seed):
    """Amounts that change from step to step: only what was walked counts."""
    walk = TwoLevelWalk(PLACE)
    rng = random.Random(seed)
    used = set()

    def draw():
        return {name: rng.randrange(1 << width) for name, width in WIDTHS.items()}

    def plus(a, b):
        return {name: (a[name] + b[name]) % (1 << WIDTHS[name]) for name in a}

    async def bench(ctx):
        here = mark = behind = None
        for cycle in range(2000):
            start, along, across = draw(), draw(), draw()
            step = cycle > 0 and rng.random() < 0.6
            pulse = "begin" if cycle == 0 else rng.choice(["", "", "begin", "cross", "resume"])
            for port, values in ((walk.start, start), (walk.along, along), (walk.across, across)):
                put(ctx, port, values)
            ctx.set(walk.step, step)
            for name in ("begin", "cross", "resume"):
                ctx.set(getattr(walk, name), name == pulse)
            await ctx.tick()
            if step:
                here = plus(here, along)
            if pulse == "begin":
                here, mark, behind = start, start, None
            elif pulse == "cross":
                behind = behind or here
                here = mark = plus(mark, across)
            elif pulse == "resume":
                here = mark = behind or here
                behind = None
            assert get(ctx, walk.at) == here, f"cycle {cycle}, {pulse}"
            used.add((pulse, step, behind is None))

    simulate(walk, bench)
    # Of begin, cross and resume each decides whether a block's end is kept; without one both occur.
    assert len(used) == 2 * (3 + 2), used
