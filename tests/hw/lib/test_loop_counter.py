"""Loop counter: every length, steps with pauses, a new loop before the old one ended."""

import random

import pytest

from hw.lib.loop_counter import LoopCounter


def test_every_length_round_and_round(simulate):
    loop = LoopCounter(4)
    seen = []

    async def bench(ctx):
        for turns in range(1, 16):
            ctx.set(loop.begin, 1)
            ctx.set(loop.turns, turns)
            ctx.set(loop.step, turns % 2)  # begin wins
            await ctx.tick()
            ctx.set(loop.begin, 0)
            ctx.set(loop.turns, 15 - turns)
            ctx.set(loop.step, 1)
            for _ in range(2 * turns + 1):
                seen.append((turns, ctx.get(loop.first), ctx.get(loop.last)))
                await ctx.tick()

    simulate(loop, bench)
    assert seen == [
        (turns, n % turns == 0, n % turns == turns - 1)
        for turns in range(1, 16)
        for n in range(2 * turns + 1)
    ]


@pytest.mark.parametrize("bits", [2, 8])
def test_pauses_and_early_ends(simulate, bits):
    loop = LoopCounter(bits)
    rng = random.Random(bits)
    ends = set()

    async def bench(ctx):
        turn, turns = 0, 0
        for cycle in range(3000):
            begin = cycle == 0 or rng.random() < 0.1
            step, wanted = rng.random() < 0.6, rng.choice([1, 2, 3, (1 << bits) - 1])
            ctx.set(loop.begin, begin)
            ctx.set(loop.turns, wanted)
            ctx.set(loop.step, step)
            await ctx.tick()
            if begin:
                turn, turns = 0, wanted
            elif step:
                turn = (turn + 1) % turns
            place = (turn == 0, turn == turns - 1)
            assert (ctx.get(loop.first), ctx.get(loop.last)) == place, f"{turn} of {turns}"
            ends.add(place)

    simulate(loop, bench)
    assert len(ends) == 4 or bits > 2
