"""Fuzzed programs on the accelerator: each ends in words, inside its window, and leaves no trace.

Beside ``job.json`` the folder has ``cases.json``, a list of `sim.fuzz.case.Case`; what is found is
left in ``verdicts.json``. Without any reset in between, the job's valid run follows every case.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import numpy.typing as npt
from cocotb.triggers import FallingEdge, First, RisingEdge, Timer

from hw.driver.driver import BUSY, DONE, ERROR, STUCK
from hw.host.register_map import Error
from hw.host.run_control import DRAIN_CYCLES
from hw.program.file import load_program
from hw.program.program import Program
from hw.program.regions import Region
from sim.benches.network import FILL, begin, one, place
from sim.fuzz.case import Case, Verdict
from sim.system.host import CLOCK_NS, Host, RunError
from sim.system.job import load_expected, program_file

#: Cycles beside the watchdog's and those of a draining bus in which a run must have ended.
SLACK = 1000


@cocotb.test()
async def fuzz(dut: Any) -> None:
    """Run every case of the folder and write the verdicts."""
    folder = Path(os.environ["POTVIT_JOB"])
    plan = json.loads((folder / "job.json").read_text())
    cases = [Case(**case) for case in json.loads((folder / "cases.json").read_text())]
    item = plan["runs"][0]
    program = load_program(folder / program_file(item["program"]))
    picture = load_expected(folder, item["picture"])["image"]
    host = Host(dut, plan["registers"], plan["bus"])
    await host.reset()
    assert cases, "there are no cases"
    verdicts = []
    for case in cases:
        outcome, hang = await judge(host, program, contents(program, picture, case), case)
        rule = int(dut.violation.value)
        restart = ""
        if not hang and not rule:
            here = item | {"window": case.window, "stall_rate": case.stall_rate}
            answer = await one(host, folder, plan["counters"], here)
            restart = answer["error"] or answer["difference"] or "exact"
        found = Verdict(
            number=case.number, kind=case.kind, outcome=outcome, hang=hang, rule=rule,
            restart=restart,
        )  # fmt: skip
        verdicts.append(asdict(found))
        if restart != "exact":
            await host.reset()  # the next case is judged by itself
    (folder / "verdicts.json").write_text(json.dumps(verdicts))


def contents(program: Program, picture: npt.NDArray[np.uint8], case: Case) -> npt.NDArray[np.uint8]:
    """The window before the run."""
    dram = program.dram(picture, FILL)
    if case.noise >= 0:
        rng = np.random.default_rng(case.noise)
        for region in (Region.PARAMETERS, Region.PICTURE):
            where = program.regions[region]
            dram[where.offset : where.end] = rng.integers(0, 256, where.size)
    raw = np.frombuffer(bytes.fromhex(case.program), np.uint8)
    dram[program.entry : program.entry + len(raw)] = raw
    return dram


async def judge(
    host: Host, program: Program, dram: npt.NDArray[np.uint8], case: Case
) -> tuple[str, str]:
    """Run ``case``: how it ended, and what was missing of an orderly end."""
    dut = host.dut
    host.window = case.window
    host.fence(case.allowed)
    dut.stall_rate.value = case.stall_rate
    dut.fault.value, dut.fault_addr.value = case.fault, case.fault_at
    await host.load(0, dram.tobytes())
    await place(host, case.base, case.size, case.offset, case.count)
    await begin(host, case.watchdog)
    if case.abort_after:
        await First(RisingEdge(dut.irq), Timer(CLOCK_NS * case.abort_after, "ns"))
        await FallingEdge(dut.clk)
        await host.write("CONTROL", 2)
    try:
        await host.interrupt(case.watchdog + DRAIN_CYCLES + SLACK)
    except RunError as silent:
        return "", str(silent)
    finally:
        dut.fault.value = 0
    return await ending(host)


async def ending(host: Host) -> tuple[str, str]:
    """What the registers say of a run whose interrupt has come."""
    status, code = await host.read("STATUS"), await host.read("ERROR") & 255
    await host.write("IRQ_STATUS", 3)
    if status & (BUSY | STUCK):
        return "", f"STATUS {status:#x} after the interrupt"
    if status == DONE and code == Error.NONE:
        return "done", ""
    if status == ERROR and code in set(Error) - {Error.NONE}:
        return Error(code).name.lower(), ""
    return "", f"STATUS {status:#x} with ERROR code {code}"
