"""Chosen points of an exploration, run in RTL."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hw.config import Config
from sim.explore.space import Point, configuration
from sim.system.bundles import Network
from sim.system.whole import simulate

#: Simulation work of a cycle: the array's and, in MACs, everything else's.
OVERHEAD = 200


#: A larger point of the front is worth running if it is faster than smaller ones by this much.
GAIN = 0.03


def cheapest(rows: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """The ``count`` points that simulate fastest of those that are worth their area.

    These are the points of the Pareto front that are faster by `GAIN` than the one before.
    """
    worth: list[dict[str, Any]] = []
    for row in sorted((row for row in rows if row.get("pareto")), key=lambda r: r["area_ge"]):
        if not worth or row["cycles"] < (1 - GAIN) * worth[-1]["cycles"]:
            worth.append(row)
    return sorted(worth, key=lambda r: r["cycles"] * (r["macs_per_cycle"] + OVERHEAD))[:count]


def confirm(
    net: Network, preset: Config, row: dict[str, Any], pixels: npt.NDArray[np.uint8]
) -> dict[str, Any]:
    """Generate, build and run one point: every tensor compared, cycles beside the prediction."""
    point = Point(**{name: row[name] for name in ("rows", "cols", "lanes", "axi_bytes", "buffers")})
    outcome = simulate(net.graph, [pixels], configuration(preset, point))
    plain, full = outcome.of("plain"), outcome.of("checkpointed")
    names = {t.name for t in net.graph.stored()}
    equal = {c["tensor"] for a in full for c in a["compared"] if not c["different"]} & names
    return {
        "bit_exact": not outcome.failure and equal == names,
        "failure": outcome.failure,
        "tensors_checked": len(equal),
        "tensors_expected": len(names),
        "cycles": plain[0]["counters"]["cycles"],
        "predicted": row["cycles"],
    }
