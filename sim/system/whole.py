"""A whole network in simulation: compile, run plain and checkpointed, gather the figures."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from golden.execute.batched import Executor
from golden.graph import ir
from golden.support.errors import PotvitError
from golden.support.locations import BUILD
from hw.compiler import compile_graph
from hw.config import Config
from hw.program.program import Program
from sim.system.harness import dram_bytes, system
from sim.system.job import STALL_RATE, Job, Run

SCRATCH = BUILD / "jobs"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Answers of all runs in order, the programs by name, and how long building took."""

    answers: list[dict[str, Any]]
    programs: dict[str, Program]
    build_seconds: float
    build_cached: bool

    @property
    def failure(self) -> str:
        """What went wrong first; empty if every run ended and every comparison was equal."""
        for answer in self.answers:
            if problem := answer["error"] or answer["difference"]:
                return f"picture {answer['picture']}, {answer['program']} program: {problem}"
        return ""

    def of(self, program: str) -> list[dict[str, Any]]:
        """The answers of one program."""
        return [a for a in self.answers if a["program"] == program]


def simulate(
    graph: ir.Graph,
    pictures: Sequence[npt.NDArray[np.uint8]],
    config: Config,
    *,
    checkpoints: bool = True,
    serial: bool = False,
    stalls: bool = False,
    seed: int = 0,
    waves: Path | None = None,
    shown: str = "ports",
    simulator: str = "verilator",
) -> Outcome:
    """Run every picture through the plain program and, if asked, the checkpointed one.

    Several pictures also run as one ``batch``, without the host in between. With ``serial`` the
    first picture runs once more, one instruction at a time.

    Pictures run back to back on one accelerator without a reset; the programs use windows at
    different DRAM addresses, one behind the other in a DRAM as large as they need. ``waves`` names
    the FST file to keep, with what ``shown`` (a key of `sim.system.harness.WAVES`) names. Raises
    ``PotvitError`` if the network cannot be compiled, the model not be built, or the simulator
    itself breaks down.
    """
    programs = _programs(graph, config, len(pictures), checkpoints=checkpoints, serial=serial)
    windows = [0, *itertools.accumulate(p.window for p in programs.values())]
    memory = dram_bytes(windows[-1])
    executor = Executor(graph)
    began = time.monotonic()
    traced = None if waves is None else shown
    built = system(config, waves=traced, memory_bytes=memory, simulator=simulator)
    seconds = time.monotonic() - began
    SCRATCH.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="job-", dir=SCRATCH))
    try:
        job = Job(folder, config, memory_bytes=memory)
        for name, program in programs.items():
            job.add_program(name, program)
        for index, pixels in enumerate(pictures):
            tensors = executor.trace(pixels[np.newaxis])
            job.add_picture(index, pixels, {name: value[0] for name, value in tensors.items()})
        runs = _runs(programs, windows, len(pictures), STALL_RATE * stalls, seed)
        try:
            answers = job.simulate(runs, waves=traced, seed=seed + 1, simulator=simulator)
        except AssertionError as broken:
            log = SCRATCH / "failed.log"
            log.write_text(f"{broken}\n")
            reason = str(broken).splitlines()[0]
            raise PotvitError(f"the simulation broke down ({reason}): see {log}") from None
        if waves is not None:
            waves.parent.mkdir(parents=True, exist_ok=True)
            (folder / "waves.fst").replace(waves)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Outcome(
        answers=answers, programs=programs, build_seconds=seconds, build_cached=built.cached
    )


def _programs(
    graph: ir.Graph, config: Config, pictures: int, *, checkpoints: bool, serial: bool
) -> dict[str, Program]:
    """The programs to run, by name."""
    programs = {"plain": compile_graph(graph, config)}
    if checkpoints:
        programs["checkpointed"] = compile_graph(graph, config, checkpoints=True)
    if serial:
        programs["serial"] = compile_graph(graph, config, serial=True)
    if pictures > 1:
        programs["batch"] = compile_graph(graph, config, pictures=pictures)
    return programs


def _runs(
    programs: dict[str, Program], windows: Sequence[int], pictures: int, rate: int, seed: int
) -> list[Run]:
    """Every picture through every program, but one through those that say how they run."""
    return [
        Run(
            program=name, picture=index, count=program.pictures, window=window,
            stall_rate=rate, seed=seed,
        )
        for (name, program), window in zip(programs.items(), windows, strict=False)
        for index in range(1 if name in ("serial", "batch") else pictures)
    ]  # fmt: skip
