"""The figures of a simulated network: what was compared, cycles, utilisation, layers."""

from __future__ import annotations

from typing import Any

from golden.graph import ir
from hw.config import Config
from sim.analysis.performance import part_cycles, performance
from sim.system.whole import Outcome


def figures(graph: ir.Graph, config: Config, outcome: Outcome) -> dict[str, Any]:
    """The report of ``simulate(graph, ..., config)``; cycles are those of the first plain run.

    ``bit_exact`` is true only where every stored tensor was compared and no run failed. The other
    keys are those of the report that ``potvit sim`` writes (`docs/verification.md`).
    """
    plain, full = outcome.of("plain"), outcome.of("checkpointed")
    counters = plain[0]["counters"]
    names = [t.name for t in graph.stored()]
    checked = min((_checked(a, set(names)) for a in full), default=0)
    cycles = counters["cycles"]
    total = sum(a["counters"]["cycles"] for a in outcome.answers)
    seconds = sum(a["seconds"] for a in outcome.answers)
    exact = not outcome.failure and bool(full) and checked == len(names)
    return {
        "bit_exact": exact,
        "failure": outcome.failure,
        "tensors_checked": checked,
        "tensors_expected": len(names),
        "elements_checked": sum(c["elements"] for a in outcome.answers for c in a["compared"]),
        "cycles": cycles,
        "predicted_cycles": outcome.programs["plain"].cycles,
        "checkpoint_cycles": full[0]["counters"]["cycles"] if full else None,
        "macs": counters["macs"],
        **performance(outcome.programs["plain"], config, plain[0]),
        **_together(outcome, cycles),
        "serial_ratio": _serial_ratio(outcome, config),
        "stalls": {k: v for k, v in counters.items() if "stall" in k or "wait" in k},
        "counters": counters,
        "sim_seconds": round(seconds, 3),
        "build_seconds": round(outcome.build_seconds, 3),
        "cycles_per_second": round(total / seconds) if seconds else 0,
    }


def _together(outcome: Outcome, cycles: int) -> dict[str, Any]:
    """Throughput of pictures without the host in between; that of one run with one picture."""
    batch = outcome.of("batch")
    if not batch or batch[0]["error"]:
        return {"cycles_per_picture": cycles, "pictures_together": 1}
    count = outcome.programs["batch"].pictures
    each = batch[0]["counters"]["cycles"] / count
    return {"cycles_per_picture": round(each, 1), "pictures_together": count}


def _serial_ratio(outcome: Outcome, config: Config) -> dict[str, float] | None:
    """Cycles of the serialised program over the concurrent one's; None without it."""
    serial = outcome.of("serial")
    if not serial or "trace" not in serial[0]:
        return None
    one, all_ = (
        part_cycles(performance(outcome.programs[name], config, answer)["layers"])
        for name, answer in (("serial", serial[0]), ("plain", outcome.of("plain")[0]))
    )
    return {part: round(one[part] / all_[part], 4) for part in one}


def _checked(answer: dict[str, Any], names: set[str]) -> int:
    return len({c["tensor"] for c in answer["compared"] if not c["different"]} & names)
