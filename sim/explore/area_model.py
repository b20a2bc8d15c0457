"""Area of a configuration from its parameters: every unit a constant and a slope."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from golden.support.errors import PotvitError
from golden.support.locations import BUILD
from hw.config import PRESETS, Config
from hw.formats.memories import memory_bytes
from sim.report.inputs import PUBLISHED, read

SYNTH = BUILD / "synth"

#: NAND2 equivalents of one on-chip memory bit, periphery included. An assumption: a 28 nm
#: single-port macro has about 0.25 um2 a bit, a NAND2 about 0.5 um2.
SRAM_GE_PER_BIT = 0.5

#: What a unit's area grows with; units not named here are the same in every configuration.
FEATURES: dict[str, Callable[[Config], float]] = {
    "pe": lambda c: c.macs,
    "pe_operands": lambda c: (2 * c.rows + c.cols) * c.lanes,
    "operand_sums": lambda c: (c.rows + c.cols) * c.lanes,
    "channel_params": lambda c: c.cols,
    "requantizer": lambda c: c.cols,
    "drain": lambda c: c.cols,
    "row_max": lambda c: c.rows,
    "exponential": lambda c: c.rows,
    "row_sum": lambda c: c.rows,
    "code_select": lambda c: c.rows,
    "softmax": lambda c: c.rows,
    "shifter_array": lambda c: c.rows * (c.head_lanes + c.act_bytes),
    "value_pass": lambda c: c.rows,
    "key_stores": lambda c: c.rows * c.keys_per_cycle,
    "logit_feed": lambda c: c.rows * c.cols,
    "attention_control": lambda c: c.rows,
    "token_statistics": lambda c: c.cols,
    "layernorm": lambda c: c.lanes,
    "norm_control": lambda c: c.lanes,
    "gearbox": lambda c: c.stream_bytes + c.axi_bytes,
    "store": lambda c: c.rows * c.act_bytes,
    "fetch": lambda c: 1 / c.axi_bytes,
    "activation_buffer": lambda c: c.rows * c.act_bytes,
    "stream_buffer": lambda c: c.stream_bytes,
    "logit_buffer": lambda c: c.rows * c.cols,
}


@dataclass(frozen=True, kw_only=True)
class AreaModel:
    """Fitted areas in NAND2 equivalents, memories excluded.

    ``units`` maps a unit to its constant and slope over `FEATURES`; ``origin`` says what it was
    fitted to, ``check`` lists per measured configuration what was measured and what this gives.
    """

    units: Mapping[str, tuple[float, float]]
    origin: str
    check: tuple[dict[str, Any], ...] = ()

    def gates(self, config: Config) -> float:
        """NAND2 equivalents of the logic of ``config``."""
        return sum(
            constant + slope * FEATURES.get(unit, _nothing)(config)
            for unit, (constant, slope) in self.units.items()
        )


def _nothing(_: Config) -> float:
    return 0.0


def sram_bits(config: Config) -> int:
    """Bits of the buffers."""
    return 8 * sum(memory_bytes(config).values())


def area_model(synth: Path = SYNTH) -> AreaModel:
    """The model fitted to ``<preset>-generic.json`` in ``synth``, else to the tracked areas.

    Raises:
        PotvitError: neither is there, or a file is broken.
    """
    measured: dict[str, dict[str, float]] = {}
    for name in PRESETS:
        report = read(
            synth / f"{name}-generic.json", "units", f"make synth CONFIG={name} TARGET=generic"
        )
        if report and report.get("area_unit") == "NAND2" and not report.get("unit"):
            measured[name] = {unit["name"]: float(unit["area"]) for unit in report["units"]}
    if measured:
        return fit(measured, f"fitted to {synth}: {', '.join(measured)}")
    tracked = read(PUBLISHED / "area_units.json", "units", "git")
    if tracked is None:
        raise PotvitError(
            "no areas to go by: `make synth CONFIG=base TARGET=generic` measures them"
        )
    units = tracked["units"]
    return fit(units, f"fitted to docs/data/area_units.json: {', '.join(units)}")


def fit(measured: Mapping[str, Mapping[str, float]], origin: str) -> AreaModel:
    """Least relative error over the measured configurations, constant and slope not negative.

    With one configuration there is no constant beside a slope: areas are then proportional.
    """
    configs = {name: PRESETS[name] for name in measured}
    found: dict[str, tuple[float, float]] = {}
    for unit in dict.fromkeys(u for areas in measured.values() for u in areas):
        sizes = {n: areas[unit] for n, areas in measured.items() if areas.get(unit)}
        if not sizes:
            continue
        grows = FEATURES.get(unit)
        if grows is None:
            found[unit] = (sum(sizes.values()) / len(sizes), 0.0)
            continue
        xs = [grows(configs[name]) for name in sizes]
        if len(set(xs)) == 1:
            found[unit] = (0.0, sum(sizes.values()) / len(sizes) / xs[0])
            continue
        columns = [(1 / y, x / y) for x, y in zip(xs, sizes.values(), strict=True)]
        (constant, slope), _ = nnls(np.array(columns), np.ones(len(columns)))
        found[unit] = (float(constant), float(slope))
    model = AreaModel(units=found, origin=origin)
    check = []
    for name, areas in measured.items():
        total, given = sum(areas.values()), model.gates(configs[name])
        check.append({"config": name, "measured": round(total), "model": round(given),
                      "error": given / total - 1})  # fmt: skip
    return AreaModel(units=found, origin=origin, check=tuple(check))
