"""The test plan names what there is, all of it, and says what is open."""

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from formal.proofs import every_proof
from tools import testplan
from tools.testplan_lines import FORMAL, PLAN, STAGES, Line

ROOT = Path(__file__).resolve().parents[2]
#: Folders of tests of hardware.
HARDWARE = (
    "array",
    "attention",
    "buffers",
    "bus",
    "dma",
    "host",
    "lib",
    "norm",
    "sequencer",
    "top",
)


def missing(lines):
    """Evidence that does not exist."""
    units = {proof.unit for proof in every_proof()}
    found = []
    for word in sorted({word for line in lines for word in line.evidence}):
        if word.startswith(FORMAL):
            if word.removeprefix(FORMAL) not in units:
                found.append(word)
            continue
        path, _, name = word.partition("::")
        file = ROOT / path
        tree = ast.parse(file.read_text(encoding="utf-8") if file.is_file() else "")
        if name not in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}:
            found.append(word)
    return found


def test_what_is_named_exists():
    assert missing(PLAN) == []


@pytest.mark.parametrize(
    "word",
    ["formal nothing", "tests/hw/norm/test_unit.py::test_nothing", "tests/no.py::test_a", "norm"],
)
def test_what_does_not_exist_is_found(word):
    assert missing([replace(PLAN[0], evidence=(word,))]) == [word]


def test_every_test_of_hardware_and_every_proof_is_named():
    named = {word for line in PLAN for word in line.evidence}
    files = {word.partition("::")[0] for word in named}
    there = {
        str(path.relative_to(ROOT))
        for folder in HARDWARE
        for path in (ROOT / "tests" / "hw" / folder).rglob("test_*.py")
    }
    assert len(there) > 40
    assert there - files == set()
    proofs = {f"{FORMAL}{proof.unit}" for proof in every_proof()}
    assert proofs - named == set()


def test_every_unit_has_lines_of_every_stage():
    units = {line.unit for line in PLAN}
    assert {(line.unit, line.stage) for line in PLAN} == {(u, s) for u in units for s in STAGES}
    assert len({(line.unit, line.claim) for line in PLAN}) == len(PLAN)


def test_the_tables_count_and_show_what_is_open(monkeypatch):
    lines = (
        Line(unit="u", stage="V1", claim="works", evidence=("tests/a/test_b.py::test_c_d",)),
        Line(unit="u", stage="V2", claim="pauses"),
        Line(unit="u", stage="V3", claim="queues", evidence=("formal semaphores",)),
    )
    monkeypatch.setattr(testplan, "PLAN", lines)
    (proof,) = [p for p in every_proof() if p.unit == "semaphores"]
    variants = len(proof.variants)
    rejected = sum(m.applies(o) for o in proof.variants.values() for m in proof.mutants)
    assert f"| u | 1 of 1 | 0 of 1 | 1 of 1 | 1 | {variants} | {rejected} |" in testplan.stages()
    table = testplan.plan()
    assert "| u | V1 | works | `tests/a/test_b.py` c d |" in table
    assert "| u | V2 | pauses | **open** |" in table
    assert "| u | V3 | queues | proof `semaphores` |" in table
