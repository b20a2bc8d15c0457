"""Errors of a running accelerator: code, interrupt, clean restart."""

import numpy as np
import pytest

from golden.execute.batched import Executor
from golden.synthetic.graphs import random_graph, random_image
from hw.compiler import compile_graph
from hw.config import PRESETS
from sim.simulator.runner import run
from sim.system.harness import system
from sim.system.job import Job, Run

BENCH = "sim.benches.errors"
CASES = (
    "bus_errors",
    "illegal_instructions",
    "illegal_addresses",
    "outside_the_window",
    "another_configuration",
    "watchdog_and_abort",
    "starving_program",
    "illegal_places",
    "programs_anywhere",
    "registers_written_during_a_run",
    "commands_during_a_run",
)


def job_of(folder, graph):
    config = PRESETS["tiny"]
    job = Job(folder, config)
    picture = random_image(graph, 1)
    job.add_program("plain", compile_graph(graph, config))
    tensors = Executor(graph).trace(picture[np.newaxis])
    job.add_picture(0, picture, {name: value[0] for name, value in tensors.items()})
    job.plan([Run(program="plain", picture=0, window=1 << 20)])
    return job


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    return job_of(tmp_path_factory.mktemp("job"), random_graph(seed=7, depth=1, patch=8))


def spilling_graph():
    """A network whose residual stream is larger than the RESIDUAL memory of ``tiny``."""
    return random_graph(
        seed=7, tokens=50, channels=96, heads=6, depth=1, patch=4, hidden=32, image_channels=2
    )


@pytest.mark.parametrize("case", CASES)
def test_error(job, case):
    env = {"POTVIT_JOB": str(job.folder.resolve())}
    assert run(system(job.config), BENCH, testcase=case, env=env) == [case]


def test_errors_of_spilled_tensors(tmp_path):
    job = job_of(tmp_path, spilling_graph())
    env = {"POTVIT_JOB": str(tmp_path.resolve())}
    assert run(system(job.config), "sim.benches.spill_errors", env=env) == ["spilled_tensors"]
