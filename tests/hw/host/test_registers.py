import random

import pytest

from hw.config import preset
from hw.host.counters import Counters
from hw.host.register_map import IDENTITY, registers
from hw.host.register_page import as_json, as_markdown
from hw.host.registers import Registers

NAMES = ("cycles", "macs", "bytes")
CONFIG = preset("tiny")
MAP = {r.name: r for r in registers(CONFIG, NAMES)}


async def write(ctx, dut, offset, value, strobe=15, gap=0):
    """Write; ``gap``: cycles from the address to the data (the data come first if negative)."""
    bus = dut.bus
    ctx.set(bus.aw.payload.addr, offset)
    ctx.set(bus.w.payload, {"data": value, "strb": strobe})
    ctx.set(bus.b.ready, 0)
    channels = [(bus.aw,), (bus.w,)] if gap else [(bus.aw, bus.w)]
    for n, together in enumerate(channels if gap >= 0 else channels[::-1]):
        for _ in range(abs(gap) - 1 if n else 0):
            assert not ctx.get(bus.b.valid)
            await ctx.tick()
        for channel in together:
            ctx.set(channel.valid, 1)
            assert ctx.get(channel.ready), "ready does not wait for the other channel"
        await ctx.tick()
        for channel in together:
            ctx.set(channel.valid, 0)
    pulses = ctx.get(dut.start), ctx.get(dut.abort)
    await ctx.tick()
    await ctx.tick()
    assert ctx.get(bus.b.valid), "the response waits for ready"
    response = ctx.get(bus.b.payload.resp)
    ctx.set(bus.b.ready, 1)
    await ctx.tick()
    assert not ctx.get(bus.b.valid)
    assert (ctx.get(dut.start), ctx.get(dut.abort)) == (0, 0)
    return response, pulses


async def read(ctx, dut, offset):
    bus = dut.bus
    ctx.set(bus.ar.payload.addr, offset)
    ctx.set(bus.ar.valid, 1)
    while not ctx.get(bus.ar.ready):
        await ctx.tick()
    await ctx.tick()
    ctx.set(bus.ar.valid, 0)
    while not ctx.get(bus.r.valid):
        await ctx.tick()
    await ctx.tick()
    assert ctx.get(bus.r.valid), "the answer waits for ready"
    value, response = ctx.get(bus.r.payload.data), ctx.get(bus.r.payload.resp)
    ctx.set(bus.r.ready, 1)
    await ctx.tick()
    ctx.set(bus.r.ready, 0)
    return value, response


def run(simulate, bench):
    dut = Registers(CONFIG, NAMES)

    async def bound(ctx):
        await bench(ctx, dut)

    simulate(dut, bound)


def test_writable_registers_keep_what_is_written(simulate):
    async def bench(ctx, dut):
        rng = random.Random(1)
        kept = {}
        for name, r in MAP.items():
            if r.access == "rw":
                kept[name] = rng.randrange(1 << 32)
                assert (await write(ctx, dut, r.offset, kept[name]))[0] == 0
        assert len(kept) == 7
        for name, value in kept.items():
            mask = (1 << sum(f.bits for f in MAP[name].fields)) - 1
            assert await read(ctx, dut, MAP[name].offset) == (value & mask, 0)
        base = kept["WINDOW_BASE_LO"] | (kept["WINDOW_BASE_HI"] & 0xFF) << 32
        assert ctx.get(dut.window_base) == base
        assert ctx.get(dut.window_size) == kept["WINDOW_SIZE"]
        assert ctx.get(dut.program_offset) == kept["PROGRAM_OFFSET"]
        assert ctx.get(dut.program_count) == kept["PROGRAM_COUNT"]
        assert ctx.get(dut.watchdog) == kept["WATCHDOG"]

    run(simulate, bench)


def test_strobes_select_bytes(simulate):
    async def bench(ctx, dut):
        offset = MAP["WATCHDOG"].offset
        await write(ctx, dut, offset, 0x11223344)
        await write(ctx, dut, offset, 0xAABBCCDD, strobe=0b0101)
        assert await read(ctx, dut, offset) == (0x11BB33DD, 0)
        _, pulses = await write(ctx, dut, MAP["CONTROL"].offset, 3, strobe=0b1110)
        assert pulses == (0, 0)

    run(simulate, bench)


def test_constants_and_live_fields(simulate):
    async def bench(ctx, dut):
        assert await read(ctx, dut, MAP["ID"].offset) == (IDENTITY, 0)
        assert await read(ctx, dut, MAP["PARAM_ROWS"].offset) == (CONFIG.rows, 0)
        assert await read(ctx, dut, MAP["PARAM_STREAM_WORDS"].offset) == (CONFIG.stream_words, 0)
        for signal, value in ((dut.busy, 1), (dut.done, 0), (dut.error, 1), (dut.stuck, 1)):
            ctx.set(signal, value)
        for signal, value in ((dut.report.code, 3), (dut.report.unit, 4), (dut.report.tag, 0xA5)):
            ctx.set(signal, value)
        assert await read(ctx, dut, MAP["STATUS"].offset) == (0b1101, 0)
        assert await read(ctx, dut, MAP["ERROR"].offset) == (0xA50403, 0)
        ctx.set(dut.last_report, {"code": 8, "unit": 5, "tag": 0x11})
        assert await read(ctx, dut, MAP["LAST_ERROR"].offset) == (0x110508, 0)

    run(simulate, bench)


@pytest.mark.parametrize("gap", [-5, -1, 0, 1, 5])
def test_address_and_data_in_any_order(simulate, gap):
    async def bench(ctx, dut):
        for name, value in (("WATCHDOG", 0x12345678), ("PROGRAM_COUNT", 77)):
            assert await write(ctx, dut, MAP[name].offset, value, gap=gap) == (0, (0, 0))
            assert await read(ctx, dut, MAP[name].offset) == (value, 0)
        assert await write(ctx, dut, MAP["CONTROL"].offset, 1, gap=gap) == (0, (1, 0))

    run(simulate, bench)


def test_control_pulses(simulate):
    async def bench(ctx, dut):
        offset = MAP["CONTROL"].offset
        assert await write(ctx, dut, offset, 1) == (0, (1, 0))
        assert await write(ctx, dut, offset, 2) == (0, (0, 1))
        assert await read(ctx, dut, offset) == (0, 0)

    run(simulate, bench)


def test_interrupts(simulate):
    async def bench(ctx, dut):
        enable, status = MAP["IRQ_ENABLE"].offset, MAP["IRQ_STATUS"].offset
        ctx.set(dut.done_event, 1)
        await ctx.tick()
        ctx.set(dut.done_event, 0)
        assert not ctx.get(dut.irq), "not enabled"
        assert await read(ctx, dut, status) == (1, 0)
        await write(ctx, dut, enable, 3)
        assert ctx.get(dut.irq)
        await write(ctx, dut, status, 2)
        assert ctx.get(dut.irq), "the other bit was cleared"
        await write(ctx, dut, status, 1)
        assert not ctx.get(dut.irq)
        ctx.set(dut.error_event, 1)
        await ctx.tick()
        ctx.set(dut.error_event, 0)
        assert ctx.get(dut.irq)
        assert await read(ctx, dut, status) == (2, 0)

    run(simulate, bench)


def test_no_register_no_success(simulate):
    async def bench(ctx, dut):
        known = {r.offset for r in MAP.values()}
        for offset in (0x3C, 0x7C, 0x3FC, 0x400 + 8 * len(NAMES), 0xFFC):
            assert offset not in known
            assert await read(ctx, dut, offset) == (0, 2)
            assert (await write(ctx, dut, offset, 1))[0] == 2
        assert (await write(ctx, dut, MAP["ID"].offset, 1))[0] == 2, "read-only"

    run(simulate, bench)


def test_counter_halves_belong_together(simulate):
    async def bench(ctx, dut):
        async def answer():
            while not ctx.get(dut.count_read):
                await ctx.tick()

        offset = MAP["COUNT_MACS_LO"].offset
        bus = dut.bus
        ctx.set(bus.ar.payload.addr, offset)
        ctx.set(bus.ar.valid, 1)
        await answer()
        assert ctx.get(dut.count_index) == 1
        await ctx.tick()
        ctx.set(bus.ar.valid, 0)
        await ctx.tick()
        assert not ctx.get(bus.r.valid)
        ctx.set(dut.count_total, 0x123456789ABCDEF0)
        ctx.set(dut.count_valid, 1)
        await ctx.tick()
        ctx.set(dut.count_total, 0)
        ctx.set(dut.count_valid, 0)
        assert ctx.get(bus.r.payload.data) == 0x9ABCDEF0
        ctx.set(bus.r.ready, 1)
        await ctx.tick()
        ctx.set(bus.r.ready, 0)
        assert await read(ctx, dut, offset + 4) == (0x12345678, 0)

    run(simulate, bench)


@pytest.mark.parametrize("seed", [1, 2])
def test_counters_are_exact_whenever_they_are_read(simulate, seed):
    rng = random.Random(seed)
    widths = {"a": 1, "b": 11, "c": 1, "d": 3, "e": 1}
    dut = Counters(widths)
    want = [0] * len(widths)
    past = []  # `want` in every cycle so far
    compared = 0

    async def step(ctx, clear=False):
        # At first always the largest increment, to fill the short counters.
        largest = compared < 20
        for i, (name, width) in enumerate(widths.items()):
            inc = (1 << width) - 1 if largest else rng.randrange(1 << width)
            ctx.set(dut.inc[name], inc)
            want[i] = 0 if clear else want[i] + inc
        ctx.set(dut.clear, clear)
        past.append(list(want))
        await ctx.tick()

    async def bench(ctx):
        nonlocal compared
        await step(ctx, clear=True)
        for n in range(120):
            for _ in range(rng.randrange(12)):
                await step(ctx, clear=n == 80)
            index = rng.randrange(len(want))
            ctx.set(dut.count_index, index)
            ctx.set(dut.count_read, 1)
            await step(ctx)
            ctx.set(dut.count_read, 0)
            cut = n % 10 == 9  # a clear while a total is on its way
            for waited in range(4 if cut else 0):
                if ctx.get(dut.count_valid):
                    break
                await step(ctx, clear=waited == n // 10 % 4)
            waited = 1
            while not ctx.get(dut.count_valid):
                assert waited < 6
                await step(ctx)
                waited += 1
            assert cut or waited >= 3
            assert ctx.get(dut.count_total) == past[-3][index]
            compared += 1
            await step(ctx)

    simulate(dut, bench)
    assert compared == 120


def test_map_is_consistent():
    found = registers(CONFIG, NAMES)
    offsets = [r.offset for r in found]
    assert len(set(offsets)) == len(offsets)
    assert all(offset % 4 == 0 for offset in offsets)
    assert len({r.name for r in found}) == len(found)
    for r in found:
        taken = 0
        for f in r.fields:
            mask = ((1 << f.bits) - 1) << f.at
            assert not taken & mask
            assert f.at + f.bits <= 32
            taken |= mask
    assert [r["name"] for r in as_json(found)] == [r.name for r in found]
    assert as_markdown(found).count("\n| 0x") == len(found) - len(NAMES)
