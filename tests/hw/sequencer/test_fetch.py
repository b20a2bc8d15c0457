import random

import pytest
from amaranth.hdl import ClockDomain, Module

from hw.config import preset
from hw.isa.instruction import INSTR_BYTES
from hw.sequencer.fetch import Fetch

BASE, OFFSET = 0x12_3456_7000, 0xFC0


def config(**changes):
    return preset("tiny").change(**changes)


class Dram:
    """Answers reads in order after a while; checks the rules of AXI."""

    def __init__(self, dut, program, rng, error_at=None, place=BASE + OFFSET):
        self.dut, self.rng, self.error_at, self.place = dut, rng, error_at, place
        self.bytes = program + bytes(64)
        self.queue, self.held, self.beats, self.age = [], None, 0, 0

    def cycle(self, ctx):
        """One cycle; call before the tick, after everything else is driven."""
        ar, r, size = self.dut.axi.ar, self.dut.axi.r, self.dut.config.axi_bytes
        ctx.set(ar.ready, self.rng.random() < 0.5)
        show = bool(self.queue) and (self.held or self.rng.random() < 0.6)
        self.held = show
        ctx.set(r.valid, show)
        if show:
            at, left = self.queue[0]
            ctx.set(r.payload.data, int.from_bytes(self.bytes[at : at + size], "little"))
            ctx.set(r.payload.last, left == 1)
            ctx.set(r.payload.resp, 2 if self.error_at == self.beats else 0)
            if ctx.get(r.ready):
                self.held = False
                self.beats += 1
                self.queue[0] = (at + size, left - 1)
                if left == 1:
                    self.queue.pop(0)
        if ctx.get(ar.valid) and ctx.get(ar.ready):
            burst = ctx.get(ar.payload)
            beats = burst.len + 1
            assert burst.size == size.bit_length() - 1
            assert burst.burst == 1
            assert beats <= self.dut.config.burst_beats
            assert burst.addr % size == 0
            assert burst.addr // 4096 == (burst.addr + beats * size - 1) // 4096
            at = burst.addr - self.place
            assert 0 <= at < len(self.bytes)
            self.queue.append((at, beats))


async def begin(ctx, dut, count, limit, base=BASE, offset=OFFSET):
    """Prepare and start; afterwards offset and count may be anything."""
    for signal, value in ((dut.base, base), (dut.limit, limit), (dut.offset, offset)):
        ctx.set(signal, value)
    assert ctx.get(dut.quiet)
    ctx.set(dut.count, count)
    ctx.set(dut.prepare, 1)
    await ctx.tick()
    ctx.set(dut.prepare, 0)
    ctx.set(dut.offset, 0x1238)
    ctx.set(dut.count, 3)
    await ctx.tick()
    ctx.set(dut.start, 1)
    await ctx.tick()
    ctx.set(dut.start, 0)
    assert not ctx.get(dut.axi.ar.valid)
    await ctx.tick()
    assert ctx.get(dut.axi.ar.valid), "the first request is two cycles after the start"


@pytest.mark.parametrize("axi_bytes", [4, 8, 16, 32, 64])
@pytest.mark.parametrize("count", [1, 2, 37])
@pytest.mark.parametrize(("depth", "burst"), [(1, 1), (16, 12)])
def test_every_bus_width(simulate, axi_bytes, count, depth, burst):
    rng = random.Random(axi_bytes * count)
    program = rng.randbytes(INSTR_BYTES * count)
    dut = Fetch(config(axi_bytes=axi_bytes, fetch_depth=depth, burst_beats=burst, const_rows=256))
    dram = Dram(dut, program, rng)
    got = []

    async def bench(ctx):
        end = -(-(OFFSET + len(program)) // axi_bytes) * axi_bytes
        await begin(ctx, dut, count, end)
        while not ctx.get(dut.ended):
            ctx.set(dut.o.ready, rng.random() < 0.4)
            dram.cycle(ctx)
            if ctx.get(dut.o.valid) and ctx.get(dut.o.ready):
                got.append(ctx.get(dut.o.payload))
            assert not ctx.get(dut.window_fault)
            await ctx.tick()
        for _ in range(20):
            dram.cycle(ctx)
            assert not ctx.get(dut.o.valid)
            await ctx.tick()
        assert ctx.get(dut.quiet)

    simulate(dut, bench)
    want = [program[i : i + INSTR_BYTES] for i in range(0, len(program), INSTR_BYTES)]
    assert [g.to_bytes(INSTR_BYTES, "little") for g in got] == want


@pytest.mark.parametrize("axi_bytes", [4, 8, 16, 32, 64])
@pytest.mark.parametrize("depth", [1, 16])
def test_no_burst_crosses_4_kb_wherever_the_program_starts(simulate, axi_bytes, depth):
    """Every place of the first instruction around a page's end, by base and by offset."""
    dut = Fetch(config(axi_bytes=axi_bytes, fetch_depth=depth, const_rows=256))
    reached = 0

    async def bench(ctx):
        nonlocal reached
        for back in range(0, 128 + axi_bytes, axi_bytes):
            rng = random.Random(back)
            program = rng.randbytes(INSTR_BYTES * 9)
            base, offset = (BASE - back, 0x1000) if back % 3 else (BASE, 0x1000 - back)
            dram = Dram(dut, program, rng, place=base + offset)
            got = []
            await begin(ctx, dut, 9, 1 << 20, base, offset)
            while not ctx.get(dut.ended):
                ctx.set(dut.o.ready, rng.random() < 0.8)
                dram.cycle(ctx)
                if ctx.get(dut.o.valid) and ctx.get(dut.o.ready):
                    got.append(ctx.get(dut.o.payload))
                await ctx.tick()
            assert b"".join(g.to_bytes(INSTR_BYTES, "little") for g in got) == program
            reached += 1
            while not ctx.get(dut.quiet):
                dram.cycle(ctx)
                await ctx.tick()
            ctx.set(reset.rst, 1)
            await ctx.tick()
            ctx.set(reset.rst, 0)

    reset = ClockDomain("sync")
    m = Module()
    m.domains += reset
    m.submodules.dut = dut
    simulate(m, bench)
    assert reached == 128 // axi_bytes + 1


def test_no_request_leaves_the_window(simulate):
    rng = random.Random(1)
    program = rng.randbytes(INSTR_BYTES * 4)
    dut = Fetch(config())
    dram = Dram(dut, program, rng)
    faults = taken = 0

    async def bench(ctx):
        nonlocal faults, taken
        # One byte short: the second burst of two instructions must not start.
        await begin(ctx, dut, 4, OFFSET + len(program) - 1)
        ctx.set(dut.o.ready, 1)
        for _ in range(100):
            dram.cycle(ctx)
            faults += ctx.get(dut.window_fault)
            taken += ctx.get(dut.o.valid)
            await ctx.tick()
        assert ctx.get(dut.quiet)

    simulate(dut, bench)
    assert faults > 0
    assert taken == 2
    assert dram.beats == 64 // 8


def test_bus_error_is_reported_once(simulate):
    rng = random.Random(2)
    dut = Fetch(config())
    dram = Dram(dut, rng.randbytes(INSTR_BYTES * 4), rng, error_at=5)
    faults = 0

    async def bench(ctx):
        nonlocal faults
        await begin(ctx, dut, 4, 1 << 20)
        ctx.set(dut.o.ready, 1)
        while not ctx.get(dut.ended):
            dram.cycle(ctx)
            faults += ctx.get(dut.bus_fault)
            await ctx.tick()

    simulate(dut, bench)
    assert faults == 1


def test_stop_drains_what_is_outstanding(simulate):
    rng = random.Random(3)
    dut = Fetch(config(axi_bytes=64, const_rows=256))
    dram = Dram(dut, rng.randbytes(INSTR_BYTES * 40), rng)

    async def bench(ctx):
        await begin(ctx, dut, 40, 1 << 20)
        for _ in range(9):
            dram.cycle(ctx)
            await ctx.tick()
        ctx.set(dut.stop, 1)
        assert not ctx.get(dut.quiet)
        for _ in range(200):
            dram.cycle(ctx)
            await ctx.tick()
        assert ctx.get(dut.quiet)
        assert not dram.queue
        assert not ctx.get(dut.axi.ar.valid)

    simulate(dut, bench)
