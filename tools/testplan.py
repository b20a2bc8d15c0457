"""The tables of docs/testplan.md: units by stages, and what shows every line."""

from __future__ import annotations

from collections.abc import Iterable

from formal.proofs import every_proof
from tools.records import markdown
from tools.testplan_lines import FORMAL, PLAN, STAGES, Line


def stages() -> str:
    """Units by stages: lines shown of lines planned, and what the proofs of a unit reject."""
    found = every_proof()
    rows = []
    for unit in dict.fromkeys(line.unit for line in PLAN):
        mine = [line for line in PLAN if line.unit == unit]
        names = {word.removeprefix(FORMAL) for line in mine for word in line.evidence}
        proofs = [p for p in found if p.unit in names]
        rejected = sum(
            mutant.applies(options)
            for p in proofs for options in p.variants.values() for mutant in p.mutants
        )  # fmt: skip
        tests = {word for line in mine for word in line.evidence if "::" in word}
        cells = [_count(line for line in mine if line.stage == stage) for stage in STAGES]
        rows.append([unit, *cells, str(len(tests)), str(sum(len(p.variants) for p in proofs)),
                     str(rejected)])  # fmt: skip
    return markdown(["unit", *STAGES, "tests named", "proofs", "mutants rejected"], rows)


def plan() -> str:
    """Every line: what holds, and what shows it."""
    rows = [
        [line.unit, line.stage, line.claim, ", ".join(map(_shown, line.evidence)) or "**open**"]
        for line in PLAN
    ]
    return markdown(["unit", "stage", "what holds", "shown by"], rows)


def _count(lines: Iterable[Line]) -> str:
    shown = [bool(line.evidence) for line in lines]
    return f"{sum(shown)} of {len(shown)}"


def _shown(evidence: str) -> str:
    """A test by file and name, or a proof."""
    if evidence.startswith(FORMAL):
        return f"proof `{evidence.removeprefix(FORMAL)}`"
    path, _, name = evidence.partition("::")
    return f"`{path}` {name.removeprefix('test_').replace('_', ' ')}"
