"""Everything that may go wrong in a run: an error code, an interrupt, and a clean restart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.triggers import FallingEdge

from golden.support.errors import PotvitError
from hw.bus.widths import ADDR_BITS
from hw.host.register_map import Error
from hw.isa.instruction import INSTR_BYTES, Instr, Op, Unit
from hw.isa.payload import Load, Norm
from sim.benches.faulty import DECERR, LIMIT, SEQUENCER, SLVERR, go, system
from sim.benches.network import check, finish, one, start
from sim.system.job import load_expected


@cocotb.test()
async def bus_errors(dut: Any) -> None:
    """SLVERR and DECERR on a parameter, on the program and on a write."""
    faulty = await system(dut)
    bodies = (i.body for i in faulty.program.instructions())
    load = next(b for b in bodies if isinstance(b, Load))
    cases = [
        (Error.AXI_READ, int(Unit.LOAD), load.dram),
        (Error.AXI_READ, SEQUENCER, faulty.program.entry),
        (Error.AXI_WRITE, int(Unit.STORE), faulty.program.logits.offset),
    ]
    for response in (SLVERR, DECERR):
        for error, unit, offset in cases:
            dut.fault.value = response
            dut.fault_addr.value = faulty.host.window + offset
            await faulty.fails(error, unit, faulty.image())
            dut.fault.value = 0
            await faulty.recovers()


@cocotb.test()
async def illegal_instructions(dut: Any) -> None:
    """Opcodes 0 and 15, and set reserved bits."""
    faulty = await system(dut)
    for byte, value in ((0, 0x00), (0, 0x0F), (1, 0xFF)):
        dram = faulty.image()
        at = faulty.program.entry + 3 * INSTR_BYTES + byte
        dram[at] = (dram[at] & 0xF0) | value if byte == 0 else value
        await faulty.fails(Error.ILLEGAL_INSTRUCTION, SEQUENCER, dram)
        await faulty.recovers()


@cocotb.test()
async def illegal_addresses(dut: Any) -> None:
    """Buffer addresses beyond the memory, one per unit."""
    faulty = await system(dut)
    for op, unit, field in (
        (Op.LOAD, Unit.LOAD, "addr"),
        (Op.MATMUL, Unit.ARRAY, "w_addr"),
        (Op.MATMUL, Unit.ARRAY, "a_addr"),
        (Op.NORM, Unit.NORM, "r_addr"),
        (Op.ATTEND, Unit.ATTN, "v_addr"),
        (Op.STORE, Unit.STORE, "addr"),
    ):
        dram, _ = faulty.altered(op, **{field: 0xFFF0})
        await faulty.fails(Error.ILLEGAL_ADDRESS, int(unit), dram)
        await faulty.recovers()


@cocotb.test()
async def outside_the_window(dut: Any) -> None:
    """Reads and writes beyond the window never reach the bus."""
    faulty = await system(dut)
    beyond = -(-faulty.program.window // 4096) * 4096
    for op, unit in ((Op.LOAD, Unit.LOAD), (Op.GATHER, Unit.LOAD), (Op.STORE, Unit.STORE)):
        for offset in (beyond, 0xFFFF_F000):
            dram, _ = faulty.altered(op, dram=offset)
            await faulty.fails(Error.OUTSIDE_WINDOW, int(unit), dram)
            await faulty.recovers()
    host, program = faulty.host, faulty.program
    await host.load(0, faulty.image().tobytes())
    await host.write("WINDOW_SIZE", program.entry)
    await host.write("CONTROL", 1)
    await faulty.ends(Error.OUTSIDE_WINDOW, SEQUENCER)
    await faulty.recovers()


@cocotb.test()
async def another_configuration(dut: Any) -> None:
    """A program for another configuration is refused in words, before anything is written."""
    faulty = await system(dut)
    before = await faulty.host.read("WATCHDOG")
    other = replace(faulty.program, digest=faulty.program.digest ^ 1)
    with pytest.raises(PotvitError, match="compiled for configuration"):
        await start(faulty.host, other, before + 1)
    assert await faulty.host.read("WATCHDOG") == before
    assert not await faulty.host.read("STATUS") & 1
    await faulty.recovers()


@cocotb.test()
async def watchdog_and_abort(dut: Any) -> None:
    """A short watchdog and aborts at many moments, stalled bus included."""
    faulty = await system(dut)
    for cycles in (1, 40, 777, 3000):
        await faulty.fails(Error.WATCHDOG, SEQUENCER, faulty.image(), watchdog=cycles)
        await faulty.recovers()
    for rate in (0, 128):
        dut.stall_rate.value = rate
        for cycles in (3, 91, 1234):
            await faulty.fails(Error.ABORTED, SEQUENCER, faulty.image(), abort_after=cycles)
            await faulty.recovers()
    assert int(dut.violation.value) == 0, f"AXI rule {int(dut.violation.value)} broken"


@cocotb.test()
async def starving_program(dut: Any) -> None:
    """A wait that nothing satisfies ends by the watchdog; a missing END at once."""
    faulty = await system(dut)
    stuck = Instr(body=Norm(count=1), waits={Unit.ATTN: 200}).pack()
    for index, error, limit in (
        (faulty.program.count - 2, Error.WATCHDOG, 50_000),
        (faulty.program.count - 1, Error.ILLEGAL_INSTRUCTION, LIMIT),
    ):
        dram = faulty.image()
        at = faulty.program.entry + index * INSTR_BYTES
        dram[at : at + INSTR_BYTES] = np.frombuffer(stuck, np.uint8)
        await faulty.fails(error, SEQUENCER, dram, watchdog=limit)
        await faulty.recovers()


@cocotb.test()
async def illegal_places(dut: Any) -> None:
    """A window beyond the address space or off the bus's grid, a program off it: no run at all."""
    faulty = await system(dut)
    host, program = faulty.host, faulty.program
    end = 1 << ADDR_BITS
    good = (host.window, program.window, program.entry)
    for place, error in (
        ((end - host.bus, program.window, program.entry), Error.ILLEGAL_WINDOW),
        ((end - program.window + 1, program.window, program.entry), Error.ILLEGAL_WINDOW),
        ((host.window + host.bus // 2, program.window, program.entry), Error.ILLEGAL_WINDOW),
        ((host.window, program.window, program.entry + host.bus // 2), Error.ILLEGAL_PROGRAM),
        ((host.window + 1, program.window, program.entry - 1), Error.ILLEGAL_WINDOW),
    ):
        await host.load(0, faulty.image().tobytes())
        await go(host, program, *place)
        await faulty.ends(error, SEQUENCER)
        assert await host.counter(faulty.plan["counters"]["read_bytes"]) == 0
        await faulty.recovers()
    await go(host, program, *good)
    await host.interrupt(LIMIT)
    await finish(host)


@cocotb.test()
async def programs_anywhere(dut: Any) -> None:
    """Windows at multiples of the bus width: no burst of the program crosses 4 KB."""
    faulty = await system(dut)
    length = faulty.program.count * INSTR_BYTES
    assert length > 4096, "the program must reach over a page's end"
    for shift in (faulty.host.bus, 0x20, 0x38, 4096 - faulty.host.bus):
        answer = await one(
            faulty.host, faulty.folder, faulty.plan["counters"],
            faulty.item | {"window": faulty.item["window"] + shift},
        )  # fmt: skip
        assert not answer["error"], f"window + {shift:#x}: {answer['error']}"
        assert not answer["difference"], f"window + {shift:#x}: {answer['difference']}"
    faulty.host.window = faulty.item["window"]


@cocotb.test()
async def registers_written_during_a_run(dut: Any) -> None:
    """The run keeps the window and the program of its start; the next one has the new ones."""
    faulty = await system(dut)
    host, program = faulty.host, faulty.program
    before = faulty.image()
    await host.load(0, before.tobytes())
    await start(host, program, LIMIT)
    for name, value in (
        ("WINDOW_BASE_LO", 0xFFFF_F000), ("WINDOW_BASE_HI", 0xFF), ("WINDOW_SIZE", 4096),
        ("PROGRAM_OFFSET", 0), ("PROGRAM_COUNT", 1),
    ):  # fmt: skip
        await host.write(name, value)
    await host.interrupt(LIMIT)
    await finish(host)
    after = np.frombuffer(await host.dump(0, program.window), np.uint8)
    expected = load_expected(faulty.folder, faulty.item["picture"])
    assert not [c for c in check(program, [expected], before, after) if c.different]
    assert int(dut.violation.value) == 0, f"AXI rule {int(dut.violation.value)} broken"


@cocotb.test()
async def commands_during_a_run(dut: Any) -> None:
    """A watchdog lowered below the elapsed cycles; abort and start in one write."""
    faulty = await system(dut)
    host, program = faulty.host, faulty.program
    await host.load(0, faulty.image().tobytes())
    await start(host, program, LIMIT)
    for _ in range(1500):
        await FallingEdge(dut.clk)
    await host.write("WATCHDOG", 100)
    await faulty.ends(Error.WATCHDOG, SEQUENCER)
    await faulty.recovers()

    before = faulty.image()
    await host.load(0, before.tobytes())
    await start(host, program, LIMIT)
    for _ in range(1500):
        await FallingEdge(dut.clk)
    await host.write("CONTROL", 3)
    await host.interrupt(LIMIT)
    assert await host.read("IRQ_STATUS") == 2, "the aborted run reports its end"
    await host.write("IRQ_STATUS", 2)
    await host.interrupt(LIMIT)
    await finish(host)
    assert await host.read("LAST_ERROR") & 0xFFFF == Error.ABORTED | SEQUENCER << 8
    after = np.frombuffer(await host.dump(0, program.window), np.uint8)
    expected = load_expected(faulty.folder, faulty.item["picture"])
    assert not [c for c in check(program, [expected], before, after) if c.different]
