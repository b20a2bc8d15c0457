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
    "watchdog_and_abort",
    "starving_program",
    "illegal_places",
    "programs_anywhere",
    "registers_written_during_a_run",
    "commands_during_a_run",
)


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    config = PRESETS["tiny"]
    graph = random_graph(seed=7, depth=1, patch=8)
    job = Job(tmp_path_factory.mktemp("job"), config)
    picture = random_image(graph, 1)
    job.add_program("plain", compile_graph(graph, config))
    tensors = Executor(graph).trace(picture[np.newaxis])
    job.add_picture(0, picture, {name: value[0] for name, value in tensors.items()})
    job.plan([Run(program="plain", picture=0, window=1 << 20)])
    return job


@pytest.mark.parametrize("case", CASES)
def test_error(job, case):
    env = {"POTVIT_JOB": str(job.folder.resolve())}
    assert run(system(job.config), BENCH, testcase=case, env=env) == [case]
