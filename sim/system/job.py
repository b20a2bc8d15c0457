"""Whole-network runs: what the cocotb side is told, and what it answers, in one folder.

``job.json`` lists the runs in order; ``program-<name>.potvit`` are compiled programs and
``expected-<i>.safetensors`` hold a uint8 picture (``image``) and every stored tensor of the golden
model. The simulation leaves ``results.json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

from hw.config import Config
from hw.program.file import SUFFIX, save_program
from hw.program.program import Program
from sim.simulator.generated import generated
from sim.simulator.runner import run
from sim.system.harness import DRAM_BYTES, system
from sim.system.run_progress import simulating

MODULE = "sim.benches.network"
STALL_RATE = 64


@dataclass(frozen=True, kw_only=True)
class Run:
    """Run ``program`` on ``count`` pictures from ``picture``, its window at DRAM byte ``window``.

    ``stall_rate`` / 256 of the cycles pause; the first run's ``seed`` draws them for all.
    """

    program: str
    picture: int
    count: int = 1
    window: int = 0
    stall_rate: int = 0
    seed: int = 0


class Job:
    """A folder of programs, pictures and expected tensors, and the runs over them.

    ``memory_bytes`` is the size of the simulated DRAM, in which every run's window must lie.
    """

    def __init__(self, folder: Path, config: Config, memory_bytes: int = DRAM_BYTES) -> None:
        self.folder, self.config, self.memory_bytes = folder, config, memory_bytes
        self._cycles: dict[str, int] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def add_program(self, name: str, program: Program) -> None:
        """Store a compiled program under ``name``."""
        self._cycles[name] = program.cycles
        save_program(program, self.folder / program_file(name))

    def add_picture(
        self, index: int, pixels: npt.NDArray[np.uint8], expected: Mapping[str, npt.NDArray[Any]]
    ) -> None:
        """Store a picture and the tensors that it must give."""
        arrays = {"image": pixels, **expected}
        plain = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
        save_file(plain, self.folder / f"expected-{index}.safetensors")

    def plan(self, runs: Sequence[Run]) -> None:
        """Write what the cocotb side reads."""
        description = generated(self.config).description
        plan = {
            "registers": {r["name"]: r["offset"] for r in description["registers"]},
            "counters": description["counters"],
            "bus": self.config.axi_bytes,
            "runs": [asdict(r) for r in runs],
        }
        (self.folder / "job.json").write_text(json.dumps(plan))

    def simulate(
        self,
        runs: Sequence[Run],
        *,
        waves: str | None = None,
        seed: int = 1,
        simulator: str = "verilator",
    ) -> list[Any]:
        """Run everything on one model of the accelerator, without resets of the host between.

        Returns one dictionary per run (see ``sim.benches.network``), the last one being the first
        that failed. Raises ``AssertionError`` with the simulator's log if the simulation itself
        broke down.
        """
        self.plan(runs)
        results = self.folder / "results.json"
        results.unlink(missing_ok=True)
        model = system(
            self.config, waves=waves, memory_bytes=self.memory_bytes, simulator=simulator
        )
        cycles = sum(self._cycles[one.program] for one in runs)
        with simulating(f"simulating {self.config.name}", self.folder, cycles) as watch:
            run(
                model, MODULE, seed=seed, folder=self.folder, watch=watch,
                env={"POTVIT_JOB": str(self.folder.resolve())},
            )  # fmt: skip
        answers: list[Any] = json.loads(results.read_text())
        ended = bool(answers) and bool(answers[-1]["error"] or answers[-1]["difference"])
        if len(answers) != len(runs) and not ended:
            raise AssertionError(f"{len(answers)} of {len(runs)} runs answered")
        return answers


def program_file(name: str) -> str:
    """Name of the file of `Job.add_program`."""
    return f"program-{name}{SUFFIX}"


def load_expected(folder: Path, index: int) -> dict[str, npt.NDArray[Any]]:
    """The picture (``image``) and expected tensors of ``Job.add_picture``."""
    return load_file(folder / f"expected-{index}.safetensors")
