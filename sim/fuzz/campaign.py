"""Many cases in batches: each a simulation of its own, kept by what it was made from."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from golden.execute.batched import Executor
from golden.graph import ir
from golden.support.jobs import run_jobs
from golden.support.kept import files_digest
from golden.support.locations import BUILD
from golden.synthetic.graphs import random_graph, random_image
from hw.compiler import compile_graph
from hw.config import Config
from sim.fuzz.case import Case, Verdict
from sim.fuzz.corrupt import make_case
from sim.kit.bench_config import packed, unpacked
from sim.simulator.generated import ROOT
from sim.simulator.runner import run
from sim.simulator.verilate import Simulator
from sim.system.harness import system
from sim.system.job import Job, Run

FOLDER = BUILD / "fuzz"
MODULE = "sim.benches.fuzz"
#: Cases of a simulation.
BATCH = 40
#: Every file that may change a verdict.
MADE_OF = ("hw/**/*.py", "hw/**/*.v", "golden/**/*.py", "sim/**/*.py", "sim/**/*.sv")
#: Shapes of the networks whose programs are changed, one after the other by batch.
SHAPES: tuple[dict[str, Any], ...] = (
    {"depth": 1, "tokens": 5, "channels": 16, "heads": 1, "patch": 8},
    {"depth": 1, "tokens": 10, "channels": 16, "heads": 2, "patch": 4, "bits": 4},
    {"depth": 1, "tokens": 5, "channels": 24, "heads": 3, "patch": 8, "hidden": 48},
)


def campaign(config: Config, *, seed: int, count: int, jobs: int) -> dict[str, Any]:
    """Cases 0 to ``count`` - 1 of ``seed`` on ``config``: the report.

    Batches that were simulated before, from the same sources, are not simulated again. Raises
    ``PotvitError`` if no simulator can be built.
    """
    system(config)  # once, before processes that all want it
    made_of = files_digest({path for pattern in MADE_OF for path in ROOT.glob(pattern)}, ROOT)
    tasks = [
        {"config": packed(config), "seed": seed, "first": first,
         "count": min(BATCH, count - first), "made_of": made_of}
        for first in range(0, count, BATCH)
    ]  # fmt: skip
    found = run_jobs(batch, tasks, workers=jobs, keep=FOLDER / "kept", title="fuzzing")
    verdicts = [Verdict(**verdict) for part in found for verdict in part]
    return {"config": config.name, "seed": seed, **report(verdicts)}


def batch(task: dict[str, Any]) -> list[dict[str, Any]]:
    """The verdicts of one batch, as `campaign` asks for it."""
    config = unpacked(task["config"])
    number = task["first"] // BATCH
    graph = random_graph(seed=task["seed"] + number, **SHAPES[number % len(SHAPES)])
    with tempfile.TemporaryDirectory(prefix="potvit-") as name:
        job = make_job(Path(name), config, graph)
        program = compile_graph(graph, config)
        cases = [
            make_case(program, config, seed=task["seed"], number=n, memory_bytes=job.memory_bytes)
            for n in range(task["first"], task["first"] + task["count"])
        ]
        return [asdict(verdict) for verdict in judged(job, cases)]


def make_job(folder: Path, config: Config, graph: ir.Graph) -> Job:
    """A folder with the valid program of ``graph``, a picture, and what it must give."""
    job = Job(folder, config)
    picture = random_image(graph, 1)
    job.add_program("plain", compile_graph(graph, config))
    tensors = Executor(graph).trace(picture[np.newaxis])
    job.add_picture(0, picture, {name: value[0] for name, value in tensors.items()})
    job.plan([Run(program="plain", picture=0)])
    return job


def judged(job: Job, cases: Sequence[Case], simulator: Simulator | None = None) -> list[Verdict]:
    """Run ``cases`` on the valid program of ``job``; ``simulator`` in place of the usual one.

    Raises ``AssertionError`` with the simulator's log if the simulation broke down.
    """
    (job.folder / "cases.json").write_text(json.dumps([asdict(case) for case in cases]))
    model = simulator or system(job.config, memory_bytes=job.memory_bytes)
    run(model, MODULE, folder=job.folder, env={"POTVIT_JOB": str(job.folder.resolve())})
    return [Verdict(**v) for v in json.loads((job.folder / "verdicts.json").read_text())]


def report(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """The figures of `sim fuzz`.

    ``programs``, ``hangs``, ``outside`` (the window), ``violations`` of other rules of the bus,
    ``restarts``, ``restarts_exact``, ``outcomes`` by kind, and every failed verdict whole.
    """
    kinds: dict[str, Counter[str]] = {}
    for verdict in verdicts:
        kinds.setdefault(verdict.kind, Counter())[verdict.outcome or "hang"] += 1
    restarts = [v for v in verdicts if v.restart]
    bad = [v for v in verdicts if v.hang or v.rule or v.restart != "exact"]
    return {
        "programs": len(verdicts),
        "hangs": sum(bool(v.hang) for v in verdicts),
        "outside": sum(v.outside for v in verdicts),
        "violations": sum(bool(v.rule) and not v.outside for v in verdicts),
        "restarts": len(restarts),
        "restarts_exact": sum(v.restart == "exact" for v in restarts),
        "outcomes": {kind: dict(sorted(found.items())) for kind, found in sorted(kinds.items())},
        "failures": [asdict(v) for v in bad],
    }
