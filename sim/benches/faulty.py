"""A system on which errors are provoked, and the proof that it recovers from each."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from cocotb.triggers import FallingEdge

from hw.host.register_map import Error
from hw.isa.instruction import INSTR_BYTES, Instr, Op, Unit
from hw.program.file import load_program
from hw.program.program import Program
from sim.benches.network import FILL, finish, one, place, start
from sim.system.host import Host, RunError
from sim.system.job import load_expected, program_file

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
        self.program = load_program(self.folder / program_file(self.item["program"]))
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
                    body=replace(instr.body, **fields), waits=instr.waits,
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
        host.fence(self.program.window)
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

    async def recovers(self) -> dict[str, Any]:
        """A normal run right afterwards is bit-exact, without any reset; return its answer."""
        answer = await one(self.host, self.folder, self.plan["counters"], self.item)
        assert not answer["error"], answer["error"]
        assert not answer["difference"], answer["difference"]
        assert answer["compared"]
        return answer


async def system(dut: Any) -> Faulty:
    """Reset the system and check that it works at all."""
    faulty = Faulty(dut)
    await faulty.host.reset()
    await faulty.recovers()
    return faulty


async def go(host: Host, program: Program, base: int, size: int, offset: int) -> None:
    """Start ``program`` with any window and place of the program."""
    await place(host, base, size, offset, program.count)
    await host.write("CONTROL", 1)
