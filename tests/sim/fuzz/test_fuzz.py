"""A sample of fuzzed programs in RTL, and what the campaign must notice, planted."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from golden.support.command_line import main
from golden.synthetic.graphs import random_graph
from hw.compiler import compile_graph
from hw.config import PRESETS
from hw.isa.instruction import INSTR_BYTES, Instr, Unit
from hw.isa.payload import Norm
from sim.__main__ import COMMANDS
from sim.fuzz import campaign
from sim.fuzz.campaign import SHAPES, judged, make_job, report
from sim.fuzz.case import Verdict
from sim.fuzz.corrupt import KINDS, make_case
from sim.simulator.generated import generated
from sim.system.harness import system
from sim.system.job import load_expected

CONFIG = PRESETS["tiny"]


@pytest.fixture(scope="module")
def graph():
    return random_graph(seed=3, **SHAPES[0])


@pytest.fixture(scope="module")
def program(graph):
    return compile_graph(graph, CONFIG)


@pytest.fixture
def job(tmp_path, graph):
    return make_job(tmp_path, CONFIG, graph)


def cases(job, program, numbers, seed=1, **changes):
    """Fuzzed cases; ``changes`` replace what was drawn."""
    made = [
        make_case(program, CONFIG, seed=seed, number=n, memory_bytes=job.memory_bytes)
        for n in numbers
    ]
    return [replace(case, **changes) for case in made]


def untouched(job, program, **changes):
    """The valid program in quiet surroundings."""
    number = list(KINDS).index("data")
    return cases(job, program, [number], noise=-1, stall_rate=0, abort_after=0, fault=0, **changes)[
        0
    ]


def test_a_sample_holds(job, program):
    found = report(judged(job, cases(job, program, range(3 * len(KINDS)))))
    assert found["failures"] == []
    assert found["programs"] == found["restarts_exact"] == 3 * len(KINDS)
    ends = {outcome for kind in found["outcomes"].values() for outcome in kind}
    assert {"done", "illegal_address", "illegal_instruction"} <= ends, "the sample shows little"


def test_what_is_planted_is_found(job, program):
    """A run without an end, an access beyond what is allowed, and nothing wrong between them."""
    stuck = Instr(body=Norm(count=1), waits={Unit.ATTN: 200}).pack().hex()
    good = untouched(job, program)
    end = -2 * INSTR_BYTES  # in hexadecimal digits
    text = good.program[: 2 * end] + stuck + good.program[end:]
    planted = [
        good,
        replace(good, number=1, program=text, watchdog=0),
        good,
        replace(good, number=2, allowed=program.logits.offset),
        replace(good, number=3, allowed=0),
        good,
        replace(good, number=4, program=text),
    ]
    found = judged(job, planted)
    assert [v.outcome for v in found] == ["done", "", "done", "done", "done", "done", "watchdog"]
    assert "no interrupt within" in found[1].hang
    assert [v.outside for v in found] == [False, False, False, True, True, False, False]
    assert [v.restart for v in found] == ["exact", "", "exact", "", "", "exact", "exact"]
    figures = report(found)
    assert (figures["hangs"], figures["outside"], figures["restarts"]) == (1, 2, 4)
    assert len(figures["failures"]) == 3


def test_a_restart_that_differs_is_found(job, program):
    tensors = load_expected(job.folder, 0)
    wrong = {name: np.array(value) for name, value in tensors.items() if name != "image"}
    wrong[program.output].flat[0] ^= 1
    job.add_picture(0, tensors["image"], wrong)
    (found,) = judged(job, [untouched(job, program)])
    assert found.outcome == "done"
    assert program.output in found.restart
    figures = report([found])
    assert (figures["restarts"], figures["restarts_exact"]) == (1, 0)
    assert len(figures["failures"]) == 1


#: No check of the window's end, no watchdog, and a run that leaves its state to the next one.
FAULTS = {
    r" > limit;": (3, " > 40'hffffffffff;"),
    r"cycle >= watchdog;": (1, "1'h0;"),
    r"core_rst = rst \| core_reset;": (1, "core_rst = rst;"),
}


@pytest.mark.slow
def test_faults_in_the_rtl_are_found(job, program):
    design = generated(CONFIG)
    text = design.verilog
    for old, (places, new) in FAULTS.items():
        text, changed = re.subn(old, new, text)
        assert changed == places, old
    name = design.description["name"]
    faulty = system(CONFIG, accelerator=(name, [("potvit.v", text)]))
    found = report(judged(job, cases(job, program, range(6 * len(KINDS))), faulty))
    assert found["hangs"]
    assert found["outside"]
    assert found["restarts_exact"] < found["restarts"]


def test_the_report_counts(tmp_path, monkeypatch, capsys):
    """Totals, the status, and the failures by number."""
    ok = Verdict(number=0, kind="bits", outcome="done", hang="", rule=0, restart="exact")
    bad = [
        replace(ok, number=1, outcome="", hang="no interrupt", restart=""),
        replace(ok, number=2, rule=11, restart=""),
        replace(ok, number=3, rule=1, restart=""),
    ]
    figures = report([ok, *bad])
    assert (figures["hangs"], figures["outside"], figures["violations"]) == (1, 1, 1)
    assert [f["number"] for f in figures["failures"]] == [1, 2, 3]
    assert figures["outcomes"] == {"bits": {"done": 3, "hang": 1}}


def test_batches_are_simulated_once(monkeypatch, tmp_path):
    """What is kept is not run again: an interrupted campaign goes on."""
    done = []

    def batch(task):
        done.append(task["first"])
        return [
            vars(Verdict(number=n, kind="bits", outcome="done", hang="", rule=0, restart="exact"))
            for n in range(task["first"], task["first"] + task["count"])
        ]

    monkeypatch.setattr(campaign, "system", lambda config: None)
    monkeypatch.setattr(campaign, "batch", batch)
    monkeypatch.setattr(campaign, "FOLDER", tmp_path)
    for count in (50, 130):
        figures = campaign.campaign(CONFIG, seed=2, count=count, jobs=1)
        assert figures["programs"] == figures["restarts_exact"] == count
    assert done == [0, 40, 40, 80, 120], "the short batch at 40 is another one"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--number", "0"], "--number and --jobs start at 1, not 0"),
        (["--jobs", "0"], "--number and --jobs start at 1, not 0"),
        (["--seed", "-1"], "--seed is a number from 0 to"),
        (["--config", "huge"], "unknown configuration 'huge'"),
    ],
)
def test_mistakes_are_answered_in_one_line(words, reason, capsys):
    assert main("python -m sim", COMMANDS, ["fuzz", *words]) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1


def test_a_failure_is_the_commands_status(monkeypatch, tmp_path, capsys):
    bad = Verdict(number=7, kind="bits", outcome="", hang="no interrupt", rule=0, restart="")
    monkeypatch.setattr("sim.commands.fuzz.campaign", lambda *_, **__: report([bad]))
    out = tmp_path / "summary.json"
    assert main("python -m sim", COMMANDS, ["fuzz", "--out", str(out)]) == 1
    told = capsys.readouterr()
    assert "FAILED: {'number': 7" in told.out
    assert told.err == "error: 1 programs failed\n"
    assert json.loads(out.read_text())["hangs"] == 1
