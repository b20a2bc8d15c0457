import random

import pytest

from hw.sequencer.issue_queue import MAX_IN_FLIGHT, IssueQueue
from hw.sequencer.semaphores import UNITS

ALL = (1 << UNITS) - 1


def send(ctx, dut, *, payload=0, signal=0, tag=0, wait=(0,) * UNITS):
    ctx.set(dut.i.payload, {"payload": payload, "signal": signal, "tag": tag, "wait": list(wait)})
    ctx.set(dut.i.valid, 1)


@pytest.mark.parametrize("seed", [1, 2])
def test_random_program(simulate, seed):
    """Order, payload, semaphores taken once, signals and tags in order, whatever the timing."""
    rng = random.Random(seed)
    dut = IssueQueue(16, 4)
    program = [
        {
            "payload": rng.randrange(1 << 16),
            "signal": rng.randrange(1 << UNITS),
            "tag": n % 256,
            "wait": [rng.randrange(3) for _ in range(UNITS)],
        }
        for n in range(150)
    ]
    sent = taken = started = finished = 0

    async def bench(ctx):
        nonlocal sent, taken, started, finished
        while finished < len(program):
            if sent < len(program) and rng.random() < 0.7:
                send(ctx, dut, **program[sent])
            else:
                ctx.set(dut.i.valid, 0)
            fits = ALL if rng.random() < 0.6 else rng.randrange(ALL)
            ctx.set(dut.fits, fits)
            ctx.set(dut.o.ready, rng.random() < 0.7)
            done = started > finished and rng.random() < 0.4
            ctx.set(dut.done, done)
            if taken > finished:
                assert ctx.get(dut.tag) == program[finished]["tag"]
            assert ctx.get(dut.signal) == (program[finished]["signal"] if done else 0)
            if ctx.get(dut.take):
                assert fits == ALL
                assert ctx.get(dut.wait) == program[taken]["wait"]
            accepted = ctx.get(dut.o.valid) and ctx.get(dut.o.ready)
            if accepted:
                assert started < taken
                assert ctx.get(dut.o.payload) == program[started]["payload"]
                assert ctx.get(dut.o_tag) == program[started]["tag"]
            if ctx.get(dut.idle):
                assert finished == sent
            sent += ctx.get(dut.i.valid) and ctx.get(dut.i.ready)
            taken += ctx.get(dut.take)
            started += accepted
            finished += done
            assert taken - finished <= MAX_IN_FLIGHT
            await ctx.tick()
        ctx.set(dut.done, 0)
        ctx.set(dut.i.valid, 0)
        assert ctx.get(dut.idle)

    simulate(dut, bench)
    assert (sent, taken, started, finished) == (150,) * 4


def test_no_bubble_between_instructions(simulate):
    dut = IssueQueue(8, 4)
    got = []

    async def bench(ctx):
        ctx.set(dut.fits, ALL)
        ctx.set(dut.o.ready, 1)
        for cycle in range(20):
            send(ctx, dut, payload=cycle)
            if ctx.get(dut.o.valid):
                got.append((cycle, ctx.get(dut.o.payload)))
            ctx.set(dut.done, ctx.get(dut.o.valid))
            await ctx.tick()

    simulate(dut, bench)
    assert got == [(cycle, cycle - 3) for cycle in range(3, 20)]


def test_missing_names_the_first_producer_and_only_while_the_unit_is_ready(simulate):
    dut = IssueQueue(8, 4)

    async def bench(ctx):
        ctx.set(dut.fits, ALL)
        ctx.set(dut.o.ready, 1)
        assert ctx.get(dut.starved)
        send(ctx, dut)
        ctx.set(dut.fits, 0b10011)
        await ctx.tick()
        ctx.set(dut.i.valid, 0)
        await ctx.tick()
        await ctx.tick()
        assert not ctx.get(dut.starved)
        assert ctx.get(dut.missing) == 0b00100
        ctx.set(dut.o.ready, 0)
        assert ctx.get(dut.missing) == 0

    simulate(dut, bench)
