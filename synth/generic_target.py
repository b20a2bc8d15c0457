"""Target ``generic``: the whole area report of a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hw.config import Config
from hw.precision import Precision
from hw.top.verilog import generate
from synth.ablations import compare
from synth.generic import areas, library
from synth.hierarchy import read_modules
from synth.report import area_report
from synth.units import plan
from synth.yosys import PACKAGE, tool_version


def generic_report(
    config: Config, *, unit: str | None = None, liberty: Path | None = None, jobs: int = 2
) -> dict[str, Any]:
    """Areas of ``config`` (see `area_report`), or of its unit ``unit`` alone.

    Whole configurations also get ``eight_bit_only`` (the same with 8x8 products alone),
    ``eight_by_four`` (without the 4x4 mode) and ``ablations`` (`synth.ablations.compare`).

    Raises:
        PotvitError: unknown unit, unusable Liberty file, or a tool that is missing or fails.
    """
    lib = library(liberty)
    tool_version()
    design = generate(config)
    parts = plan(read_modules(design.verilog), unit)
    found = areas(parts, design.verilog, lib, jobs=jobs, label=config.name)
    report = {
        "config": config.name,
        "target": "generic",
        "unit": unit,
        "liberty": liberty.name if liberty else None,
        **area_report(parts, found, lib, macs=config.macs),
        "verilog_sha256": design.description["sha256"],
        "tools": {PACKAGE: tool_version()},
    }
    if unit is None:
        report["eight_bit_only"] = _without(config, Precision.W8A8, report, liberty, jobs)
        report["eight_by_four"] = _without(config, Precision.W4A8, report, liberty, jobs)
        report["ablations"] = compare(config, lib, jobs=jobs)
    return report


def _without(
    config: Config, wide: Precision, report: dict[str, Any], liberty: Path | None, jobs: int
) -> dict[str, Any] | None:
    """Area with the modes of ``wide`` alone, and ``cost``: what the others add to that area."""
    if len(config.precision.modes) <= len(wide.modes):
        return None
    lib = library(liberty)
    alone = config.change(name=f"{config.name}-{wide}", precision=wide)
    design = generate(alone)
    parts = plan(read_modules(design.verilog))
    found = areas(parts, design.verilog, lib, jobs=jobs, label=alone.name)
    small = area_report(parts, found, lib, macs=config.macs)
    area = small["totals"]["area"]
    return {
        "area": area,
        "kge_per_mac": small["kge_per_mac"],
        "cost": round(report["totals"]["area"] / area - 1, 6),
        "units": {row["name"]: row["area"] for row in small["units"]},
    }
