"""The performance part of a run's report: utilisation, layers, timeline, memory and traffic."""

from __future__ import annotations

from typing import Any

import numpy as np

from hw.config import Config
from hw.formats.memories import Space, memories
from hw.program.program import Program
from sim.analysis.accounting import account, array_cycles, precision
from sim.analysis.traffic import on_chip_bytes


def performance(program: Program, config: Config, answer: dict[str, Any]) -> dict[str, Any]:
    """Figures of one answered run of ``program`` (see ``sim.benches.network``).

    ``array_utilisation`` = MACs / (``peak_macs_per_cycle`` x cycles): the peak is that of 8x4
    products if the program has any, and MACs are the network's own, without those that a program
    repeats or pads (the counter ``macs`` has both). ``precision_weighted_utilisation`` = sum of
    MACs / (their own mode's peak) / cycles. An answer without a trace (a run that failed) gives no
    layers.
    """
    counters = answer["counters"]
    cycles = counters["cycles"]
    rows = memories(config)
    modes = precision(program, config)
    own = program.macs / (modes["macs_8x8"] + modes["macs_8x4"] + modes["macs_4x4"])
    ideal = modes.pop("ideal_cycles") * own
    found: dict[str, Any] = {
        "array_utilisation": _share(program.macs, modes["peak_macs_per_cycle"] * cycles),
        "precision_weighted_utilisation": _share(ideal, cycles),
        **modes,
        "array_cycles": array_cycles(program, counters, config),
        "layers": [],
        "timeline": {},
        "blocks": program.blocks,
        "memory": {
            name.lower(): {"used": used, "words": have, "word_bytes": rows[Space[name]].bytes_}
            for name, (used, have) in program.memory.items()
        },
        "on_chip_bytes": on_chip_bytes(program, config),
        "dram_bytes": {"read": counters["read_bytes"], "write": counters["write_bytes"]},
        "dram_bytes_least": program.dram_bytes_least,
        "cycles_per_picture": cycles,
        "bus_bytes_per_cycle": config.axi_bytes,
    }
    if "trace" in answer:
        found |= account(program, np.array(answer["trace"], np.int64), config)
    return found


#: Parts of a transformer by the ends of their layers' names.
PARTS = {"attention": (".attention", ".proj"), "mlp": (".fc1", ".fc2")}


def part_cycles(layers: list[dict[str, Any]]) -> dict[str, int]:
    """Cycles ``overall``, and of each part of all blocks, of `performance`'s layers."""
    found = {"overall": sum(layer["cycles"] for layer in layers)}
    for part, ends in PARTS.items():
        found[part] = sum(layer["cycles"] for layer in layers if layer["name"].endswith(ends))
    return found


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
