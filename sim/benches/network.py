"""Whole networks: load a program and a picture, start, wait for the interrupt, compare all."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import numpy.typing as npt

from golden.support.errors import PotvitError
from hw.program.file import load_program
from hw.program.program import Program
from hw.program.regions import Region
from sim.system.compare import Compared, compare
from sim.system.host import Host, RegisterAccess, RunError
from sim.system.job import load_expected, program_file
from sim.system.trace import TRACE, last_run

FILL = 0xAA

# Longest run in predicted cycles, and in addition to them: stalls must fit, hangs must end soon.
SLACK = 10
SLACK_CYCLES = 50_000


@cocotb.test()
async def network(dut: Any) -> None:
    """Do every run of the job; the answers say what was compared and counted."""
    folder = Path(os.environ["POTVIT_JOB"])
    plan = json.loads((folder / "job.json").read_text())
    host = Host(dut, plan["registers"], plan["bus"])
    assert plan["runs"], "the job has no runs"
    await host.reset(seed=plan["runs"][0]["seed"])
    answers: list[dict[str, Any]] = []
    for item in plan["runs"]:
        answers.append(await one(host, folder, plan["counters"], item))
        (folder / "results.json").write_text(json.dumps(answers))
        if answers[-1]["error"] or answers[-1]["difference"]:
            break


async def one(
    host: Host, folder: Path, counters: dict[str, int], item: dict[str, Any]
) -> dict[str, Any]:
    """One start of the accelerator: its answer as a dictionary, the first difference included."""
    program = load_program(folder / program_file(item["program"]))
    numbers = range(item["picture"], item["picture"] + item["count"])
    expected = [load_expected(folder, number) for number in numbers]
    host.window = item["window"]
    host.fence(program.window)
    host.dut.stall_rate.value = item["stall_rate"]
    images = [tensors["image"] for tensors in expected]
    before = program.dram(images[0] if program.pictures == 1 else np.stack(images), FILL)
    await host.load(0, before.tobytes())
    began = time.monotonic()
    answer: dict[str, Any] = {**item, "error": "", "difference": "", "compared": []}
    try:
        limit = SLACK * program.cycles + SLACK_CYCLES
        await start(host, program, watchdog=limit)
        await host.interrupt(limit + SLACK_CYCLES)
        await finish(host)
    except PotvitError as error:
        answer["error"] = str(error)
        return answer
    except RunError as error:
        state = [await host.read(name) for name in ("STATUS", "ERROR")]
        answer["error"] = f"{error}; STATUS {state[0]:#x}, ERROR {state[1]:#x}"
    answer["seconds"] = time.monotonic() - began
    answer["counters"] = {name: await host.counter(at) for name, at in counters.items()}
    answer["violation"] = int(host.dut.violation.value)
    if answer["violation"]:
        answer["error"] = f"AXI rule {answer['violation']} broken"
    if answer["error"]:
        return answer
    answer["trace"] = last_run(Path(TRACE)).tolist()
    after = np.frombuffer(await host.dump(0, program.window), np.uint8)
    found = check(program, expected, before, after)
    if host.undefined_seen:
        # What is equal whatever undefined bits are read as has none.
        other = np.frombuffer(await host.dump(0, program.window, undefined="f"), np.uint8)
        again = check(program, expected, before, other)
        found = [b if b.different else a for a, b in zip(found, again, strict=True)]
    answer["compared"] = [c.to_dict() for c in found]
    wrong = [c for c in found if c.different]
    answer["difference"] = str(wrong[0]) if wrong else ""
    answer["logits"] = program.logits.unpack(after).reshape(-1).tolist()
    return answer


async def start(host: RegisterAccess, program: Program, watchdog: int) -> None:
    """Set window and program and write the start bit.

    A program for another configuration is refused before anything is written.
    """
    program.check(await host.read("CONFIG_DIGEST"))
    await place(host, host.window, program.window, program.entry, program.count)
    await begin(host, watchdog)


async def place(host: RegisterAccess, base: int, size: int, offset: int, count: int) -> None:
    """Tell the registers of any window and of the program's place in it."""
    await host.write("WINDOW_BASE_LO", base & 0xFFFFFFFF)
    await host.write("WINDOW_BASE_HI", base >> 32)
    await host.write("WINDOW_SIZE", size)
    await host.write("PROGRAM_OFFSET", offset)
    await host.write("PROGRAM_COUNT", count)


async def begin(host: RegisterAccess, watchdog: int) -> None:
    """Write the start bit, with both interrupts on and none pending."""
    await host.write("WATCHDOG", watchdog)
    await host.write("IRQ_ENABLE", 3)
    await host.write("IRQ_STATUS", 3)
    await host.write("CONTROL", 1)


async def finish(host: RegisterAccess) -> None:
    """Clear the interrupt; ``RunError`` says with which error the run ended, if it did."""
    error = await host.read("ERROR")
    status = await host.read("STATUS")
    await host.write("IRQ_STATUS", 3)
    if error or status & 4 or not status & 2:
        code, unit, tag = error & 255, error >> 8 & 255, error >> 16 & 255
        raise RunError(f"error {code} of unit {unit} at tag {tag}, status {status}")


def check(
    program: Program,
    expected: list[dict[str, npt.NDArray[Any]]],
    before: npt.NDArray[np.uint8],
    after: npt.NDArray[np.uint8],
) -> list[Compared]:
    """Compare every result, every checkpoint, and every byte that no output may touch."""
    stored = [(c.name, c.layout, 0) for c in program.checkpoints if c.name != program.output]
    stored += [(program.output, layout, n) for n, layout in enumerate(program.results)]
    found, rest = [], np.ones(len(after), bool)
    for name, layout, number in stored:
        title = name if program.pictures == 1 else f"{name} of picture {number}"
        found.append(compare(title, layout.unpack(after), expected[number][name]))
        rest[layout.offset : layout.offset + layout.nbytes] = False
    spill = program.regions[Region.SPILL]  # the run's own business
    rest[spill.offset : spill.end] = False
    found.append(compare("untouched bytes", after[rest], before[rest]))
    return found
