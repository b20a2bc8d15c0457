"""Loop nest: both orders against nested Python loops."""

import itertools

import pytest

from hw.array.control.loop_nest import LoopNest

SHAPES = list(itertools.product((1, 2, 5), (1, 3), (1, 2, 4)))


@pytest.mark.parametrize("group_outer", [0, 1])
@pytest.mark.parametrize("gap", [0, 3])
def test_every_chunk_of_either_order(simulate, group_outer, gap):
    """One instruction after another, the next one begun with the last chunk of the one before."""
    nest = LoopNest()
    got, want = [], []

    def begin(ctx, shape):
        ctx.set(nest.begin, 1)
        for name, turns in zip(("chunks", "groups", "tiles"), shape, strict=True):
            ctx.set(nest.loops[name], turns)
        ctx.set(nest.loops.group_outer, group_outer)

    async def bench(ctx):
        begin(ctx, SHAPES[0])
        await ctx.tick()
        for number, (chunks, groups, tiles) in enumerate(SHAPES):
            for n in range(total := chunks * groups * tiles):
                ctx.set(nest.begin, 0)
                for _ in range(gap if n % 3 == 0 else 0):
                    ctx.set(nest.step, 0)
                    await ctx.tick()
                ctx.set(nest.step, 1)
                last = n == total - 1
                assert ctx.get(nest.last) == last
                if last and number < len(SHAPES) - 1:
                    begin(ctx, SHAPES[number + 1])
                got.append(
                    tuple(
                        ctx.get(turn[name])
                        for turn in (nest.chunk, nest.group, nest.tile)
                        for name in ("first", "last", "step")
                    )
                )
                await ctx.tick()

    for chunks, groups, tiles in SHAPES:
        tiles_of = [(g, t) for g in range(groups) for t in range(tiles)]
        if not group_outer:
            tiles_of.sort(key=lambda at: at[1])
        for (g, t), c in itertools.product(tiles_of, range(chunks)):
            ends = c == chunks - 1
            want.append(
                (
                    *(c == 0, ends, 1),
                    *(g == 0, g == groups - 1, ends and (not group_outer or t == tiles - 1)),
                    *(t == 0, t == tiles - 1, ends and (group_outer or g == groups - 1)),
                )
            )
    simulate(nest, bench)
    assert len(got) > 100
    assert got == want
