"""Everything that may go wrong in a run: an error code, an interrupt, and a clean restart."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import numpy.typing as npt
from cocotb.triggers import FallingEdge

from hw.host.register_map import Error
from hw.isa.instruction import INSTR_BYTES, Instr, Op, Unit
from hw.program.program import Program
from sim.benches.network import FILL, finish, one, start
from sim.system.host import Host, RunError
from sim.system.job import load_expected

SEQUENCER = len(Unit)
SLVERR, DECERR = 2, 3
LIMIT = 200_000


class Faulty:
    """A system with one program; each method provokes one error on it."""

    def __init__(self, dut: Any) -> None:
        self.folder = Path(os.environ["POTVIT_JOB"])
        self.plan = json.loads((self.folder / "job.json").read_text())
        self.host = Host(dut, self.plan["registers"], self.plan["bus"])
        self.item = self.plan["runs"][0]
        self.program = Program.load(self.folder / f"program-{self.item['program']}")
        self.picture = load_expected(self.folder, self.item["picture"])["image"]
        self.host.window = self.item["window"]

    def image(self) -> npt.NDArray[np.uint8]:
        """A fresh DRAM window."""
        return self.program.dram(self.picture, FILL)

    def altered(self, op: Op, **fields: int) -> tuple[npt.NDArray[np.uint8], Instr]:
        """The window with the first instruction of ``op`` changed, and that instruction."""
        dram = self.image()
        for index, instr in enumerate(self.program.instructions()):
            if instr.op is op:
                fresh = Instr(
                    op=op, fields=instr.fields | fields, waits=instr.waits,
                    signals=instr.signals, tag=0x5A,
                )  # fmt: skip
                at = self.program.entry + index * INSTR_BYTES
                dram[at : at + INSTR_BYTES] = np.frombuffer(fresh.pack(), np.uint8)
                return dram, fresh
        raise AssertionError(f"the program has no {op.name}")

    async def fails(
        self,
        error: Error,
        unit: int,
        dram: npt.NDArray[np.uint8],
        *,
        watchdog: int = LIMIT,
        abort_after: int = 0,
    ) -> None:
        """Run on ``dram``: the run must end in ``error`` of ``unit`` and change nothing else."""
        host = self.host
        await host.load(0, dram.tobytes())
        await start(host, self.program, watchdog)
        if abort_after:
            for _ in range(abort_after):
                await FallingEdge(host.dut.clk)
            await host.write("CONTROL", 2)
        await self.ends(error, unit)

    async def ends(self, error: Error, unit: int) -> None:
        """Wait for the interrupt and check code and unit."""
        await self.host.interrupt(LIMIT)
        word = await self.host.read("ERROR")
        code, where = word & 255, word >> 8 & 255
        assert (code, where) == (error, unit), f"error {code} of {where}, want {error} of {unit}"
        try:
            await finish(self.host)
        except RunError:
            return
        raise AssertionError("a failed run reads as done")

    async def recovers(self) -> None:
        """A normal run right afterwards is bit-exact, without any reset."""
        answer = await one(self.host, self.folder, self.plan["counters"], self.item)
        assert not answer["error"], answer["error"]
        assert not answer["difference"], answer["difference"]
        assert answer["compared"]


async def system(dut: Any) -> Faulty:
    """Reset the system and check that it works at all."""
    faulty = Faulty(dut)
    await faulty.host.reset()
    await faulty.recovers()
    return faulty


@cocotb.test()
async def bus_errors(dut: Any) -> None:
    """SLVERR and DECERR on a parameter, on the program and on a write."""
    faulty = await system(dut)
    load = next(i for i in faulty.program.instructions() if i.op is Op.LOAD)
    cases = [
        (Error.AXI_READ, int(Unit.LOAD), load.fields["dram"]),
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
    for op, unit in ((Op.LOAD, Unit.LOAD), (Op.PATCH, Unit.LOAD), (Op.STORE, Unit.STORE)):
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
    stuck = Instr(op=Op.NORM, fields={"count": 1}, waits={Unit.ATTN: 200}).pack()
    for index, error, limit in (
        (faulty.program.count - 2, Error.WATCHDOG, 50_000),
        (faulty.program.count - 1, Error.ILLEGAL_INSTRUCTION, LIMIT),
    ):
        dram = faulty.image()
        at = faulty.program.entry + index * INSTR_BYTES
        dram[at : at + INSTR_BYTES] = np.frombuffer(stuck, np.uint8)
        await faulty.fails(error, SEQUENCER, dram, watchdog=limit)
        await faulty.recovers()
