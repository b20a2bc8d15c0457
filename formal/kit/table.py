"""Runs proofs and their mutants, and says of each what was decided, how deep and how long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from formal.kit.engine import Question, decide
from formal.kit.mutate import mutated
from formal.kit.proof import Proof

SECONDS = 240
LEAST_MUTANTS = 3


@dataclass(frozen=True, kw_only=True)
class Row:
    """One variant of one proof.

    ``failure`` is empty if everything was as it should be. ``depth`` is 0 for a proof for all
    times; ``frames`` how far PDR had to look. ``covers`` is how many were reached, ``mutants`` how
    many rejected.
    """

    unit: str
    proof: str
    variant: str
    engine: str
    depth: int
    frames: int
    promises: int
    covers: int
    mutants: int
    seconds: float
    failure: str


def prove(proof: Proof, variant: str, options: dict[str, Any]) -> Row:
    """Decide one variant: promises, covers, mutants, all in one run of the engine."""
    began = time.monotonic()
    sound = proof.bench(proof.target, **options)
    mutants = {f"mutant_{i}": m for i, m in enumerate(proof.mutants) if m.applies(options)}
    graphs = {"sound": sound}
    graphs |= {n: proof.bench(mutated(proof.target, m), **options) for n, m in mutants.items()}
    names = ["", *sound.promises, *sound.covers]
    proof_of = Question(graph="sound", output=0, depth=proof.depth)
    covers = {
        name: Question(graph="sound", output=names.index(name), depth=proof.reach)
        for name in sound.covers
    }
    search = {name: Question(graph=name, output=0, depth=proof.reach) for name in mutants}
    lost = {
        (name, cover): Question(graph=name, output=question.output, depth=proof.reach)
        for name in mutants for cover, question in covers.items() if mutants[name].blocks == cover
    }  # fmt: skip
    questions = [proof_of, *covers.values(), *search.values(), *lost.values()]
    verdicts = decide(graphs, questions, SECONDS)

    main = verdicts[proof_of]
    reached = [name for name, question in covers.items() if verdicts[question].reached]
    rejected = [
        name for name in mutants
        if verdicts[search[name]].reached
        or any(not verdicts[q].reached for (mutant, _), q in lost.items() if mutant == name)
    ]  # fmt: skip
    failures = []
    if main.reached:
        failures.append(f"broken after {main.cycles} cycles: {_culprits(proof, options, names)}")
    elif not main.proven and (not proof.depth or main.cycles < proof.depth):
        failures.append(f"undecided, nothing found in {main.cycles} cycles")
    failures += [f"cover {name} not reached" for name in covers if name not in reached]
    failures += [f"not rejected: {m.old!r} -> {m.new!r}"
                 for name, m in mutants.items() if name not in rejected]  # fmt: skip
    if len(mutants) < LEAST_MUTANTS:
        failures.append(f"{len(mutants)} mutants are not enough")
    return Row(
        unit=proof.unit, proof=type(proof).__name__, variant=variant,
        engine="bmc3" if proof.depth else "pdr", depth=proof.depth, frames=main.cycles,
        promises=len(sound.promises), covers=len(reached), mutants=len(rejected),
        seconds=round(time.monotonic() - began, 1), failure="; ".join(failures),
    )  # fmt: skip


def _culprits(proof: Proof, options: dict[str, Any], names: list[str]) -> str:
    """Which promises are broken."""
    bench = proof.bench(proof.target, **options)
    found = {
        name: Question(graph="again", output=names.index(name), depth=proof.reach)
        for name in bench.promises
    }
    verdicts = decide({"again": bench}, list(found.values()), SECONDS)
    return ", ".join(name for name, q in found.items() if verdicts[q].reached) or "later"


def run_all(proofs: Iterable[Proof], tell: Callable[[Row], None]) -> list[Row]:
    """Every variant of ``proofs``; ``tell`` hears of each as it is done."""
    rows = []
    for proof in proofs:
        for variant, options in proof.variants.items():
            row = prove(proof, variant, dict(options))
            tell(row)
            rows.append(row)
    return rows


def summary(rows: list[Row]) -> dict[str, Any]:
    """The report: ``proofs``, ``failed``, ``mutants_rejected`` and the table."""
    return {
        "proofs": len(rows),
        "failed": sum(bool(row.failure) for row in rows),
        "mutants_rejected": sum(row.mutants for row in rows),
        "table": [asdict(row) for row in rows],
    }
