"""Window of a run: kept, and refused where it cannot be used."""

import pytest

from hw.bus.widths import ADDR_BITS
from hw.config import preset
from hw.host.run_window import RunWindow

TOP = 1 << ADDR_BITS


async def take(ctx, dut, base, size, offset):
    for signal, value in (
        (dut.window_base, base), (dut.window_size, size), (dut.program_offset, offset),
    ):  # fmt: skip
        ctx.set(signal, value)
    ctx.set(dut.take, 1)
    await ctx.tick()
    ctx.set(dut.take, 0)


@pytest.mark.parametrize("axi_bytes", [4, 8, 64])
def test_verdicts(simulate, axi_bytes):
    dut = RunWindow(preset("tiny").change(axi_bytes=axi_bytes, const_rows=256))
    bus = axi_bytes

    async def bench(ctx):
        for base, size, offset, window, program in (
            (0, 0, 0, 0, 0),
            (0, 0xFFFF_FFFF, 5 * bus, 0, 0),
            (TOP - 4096, 4096, 0, 0, 0),  # the last byte is the last address
            (TOP - 4096, 4097, 0, 1, 0),
            (TOP - bus, 0xFFFF_FFFF, 0, 1, 0),
            (bus, 4096, bus - 1, 0, 1),
            (bus, 4096, bus // 2, 0, 1),
            (bus // 2, 4096, 0, 1, 0),
            (3 * bus + 1, 4096, 1, 1, 1),
        ):
            await take(ctx, dut, base, size, offset)
            got = ctx.get(dut.illegal_window), ctx.get(dut.illegal_program)
            assert got == (window, program), f"{base:#x} {size:#x} {offset:#x}"

    simulate(dut, bench)


def test_a_narrow_bus_has_a_small_space(simulate):
    dut = RunWindow(preset("tiny").change(axi_addr_bits=33))

    async def bench(ctx):
        for base, size, illegal in (
            ((1 << 33) - 4096, 4096, 0), ((1 << 33) - 4096, 4097, 1), (1 << 33, 8, 1),
        ):  # fmt: skip
            await take(ctx, dut, base, size, 0)
            assert ctx.get(dut.illegal_window) == illegal

    simulate(dut, bench)


def test_the_window_of_a_run_stays(simulate):
    dut = RunWindow(preset("tiny"))

    async def bench(ctx):
        await take(ctx, dut, 0x12_3456_7000, 0x8000, 64)
        ctx.set(dut.window_base, 4)
        ctx.set(dut.window_size, 1)
        ctx.set(dut.program_offset, 3)
        for _ in range(3):
            await ctx.tick()
            assert (ctx.get(dut.base), ctx.get(dut.limit)) == (0x12_3456_7000, 0x8000)
            assert not ctx.get(dut.illegal_window)
            assert not ctx.get(dut.illegal_program)

    simulate(dut, bench)
