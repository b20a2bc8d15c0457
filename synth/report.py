"""Area reports: sums over units, JSON and Markdown, each written whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from golden.support.report_file import write_json, write_text
from synth.generic import Area, Library
from synth.units import PARTS, Part, memory_table

#: Parts of the design that do the network's non-linear work.
SPECIAL_PARTS = ("softmax", "shifter array", "LayerNorm", "requantization")


def unit_rows(parts: Sequence[Part], areas: Sequence[Area]) -> list[dict[str, Any]]:
    """One row per unit: ``instances``, ``area`` of all, ``share``, cells and variants.

    ``variants`` lists the unit's distinct modules with the area of one instance.
    """
    rows: dict[str, dict[str, Any]] = {}
    for part, area in zip(parts, areas, strict=True):
        row = rows.setdefault(
            part.name,
            {"name": part.name, "part": PARTS[part.name], "instances": 0, "area": 0.0,
             "sequential": 0.0, "share": 0.0, "variants": [], "cells": {}},
        )  # fmt: skip
        row["instances"] += part.instances
        row["area"] += part.instances * area.area
        row["sequential"] += part.instances * area.sequential
        row["variants"].append({"instances": part.instances, "area": round(area.area, 2)})
        for cell, count in area.cells.items():
            row["cells"][cell] = row["cells"].get(cell, 0) + part.instances * count
    total = sum(row["area"] for row in rows.values())
    for row in rows.values():
        row["share"] = round(row["area"] / total, 6) if total else 0.0
        row["area"] = round(row["area"], 2)
        row["sequential"] = round(row["sequential"], 2)
        row["cells"] = dict(sorted(row["cells"].items()))
    return list(rows.values())


def part_rows(units: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Areas and shares of the parts of the design that ``units`` belong to."""
    sums: dict[str, dict[str, Any]] = {}
    for unit in units:
        row = sums.setdefault(unit["part"], {"name": unit["part"], "area": 0.0, "share": 0.0})
        row["area"] = round(row["area"] + unit["area"], 2)
        row["share"] = round(row["share"] + unit["share"], 6)
    return list(sums.values())


def area_report(
    parts: Sequence[Part], areas: Sequence[Area], lib: Library, *, macs: int
) -> dict[str, Any]:
    """``units``, ``parts``, ``totals``, ``kge_per_mac`` (logic without memories), ``memories``,
    ``sram_bits``.

    ``kge_per_mac`` counts thousands of NAND2 gates per 8x8 multiplier; it is None for a library
    without a NAND2.
    """  # noqa: D205
    units = unit_rows(parts, areas)
    by_part = part_rows(units)
    area = sum(unit["area"] for unit in units)
    memories = [
        {"unit": unit, "width": m.width, "depth": m.depth, "count": count, "bits": m.bits * count}
        for unit, m, count in memory_table(list(parts))
    ]
    special = sum(row["share"] for row in by_part if row["name"] in SPECIAL_PARTS)
    return {
        "area_unit": lib.area_unit,
        "macs": macs,
        "units": units,
        "parts": by_part,
        "totals": {
            "area": round(area, 2),
            "sequential": round(sum(unit["sequential"] for unit in units), 2),
            "instances": sum(unit["instances"] for unit in units),
        },
        "special_share": round(special, 6),
        "kge_per_mac": round(area / lib.nand2 / macs / 1000, 4) if lib.nand2 else None,
        "memories": memories,
        "sram_bits": sum(row["bits"] for row in memories),
        "fmax_mhz": None,  # no delays in the library
    }


def write_report(folder: Path, name: str, report: dict[str, Any], text: str) -> list[Path]:
    """Write ``<name>.json`` and ``<name>.md`` into ``folder``.

    Raises:
        PotvitError: they cannot be written; older reports stay as they were.
    """
    write_json(folder / f"{name}.json", report)
    path = folder / f"{name}.md"
    write_text(path, text)
    return [folder / f"{name}.json", path]


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column left, the others right aligned."""
    rule = [":--"] + ["--:"] * (len(header) - 1)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in [header, rule, *rows])


def area_markdown(report: dict[str, Any]) -> str:
    """The report of `synth.generic_target` for people."""
    unit = {"NAND2": "NAND2 equivalents", "um2": "um2"}[report["area_unit"]]
    total = report["totals"]["area"]
    lines = [
        f"# Area of `{report['config']}`\n",
        f"{report['macs']} MACs, areas in {unit}, memories excluded ({report['sram_bits']:,} bits "
        f"as black boxes). {report['tools']}.\n",
        markdown_table(
            ["unit", "part", "instances", "one", "all", "share", "registers"],
            [
                [
                    f"`{row['name']}`", row["part"], str(row["instances"]),
                    " / ".join(f"{v['area']:,.0f}" for v in row["variants"]),
                    f"{row['area']:,.0f}", f"{100 * row['share']:.1f} %",
                    f"{100 * row['sequential'] / row['area']:.0f} %" if row["area"] else "-",
                ]
                for row in report["units"]
            ]
            + [["**all**", "", str(report["totals"]["instances"]), "", f"**{total:,.0f}**",
                "100 %", f"{100 * report['totals']['sequential'] / max(total, 1):.0f} %"]],
        ),
        markdown_table(
            ["part", "area", "share"],
            [[p["name"], f"{p['area']:,.0f}", f"{100 * p['share']:.1f} %"]
             for p in report["parts"]],
        ),
        f"{', '.join(SPECIAL_PARTS)} together: {100 * report['special_share']:.1f} % of logic.\n",
    ]  # fmt: skip
    if report["kge_per_mac"] is not None and report["unit"] is None:
        lines.append(f"**{report['kge_per_mac']:.3f} kGE per 8x8 MAC.**\n")
    if alone := report.get("eight_bit_only"):
        lines.append(
            f"With 8x8 products alone: {alone['kge_per_mac']:.3f} kGE per MAC; "
            f"precision scaling costs {100 * alone['cost']:.1f} %.\n"
        )
    if wide := report.get("eight_by_four"):
        lines.append(
            f"Without the 4x4 mode: {wide['kge_per_mac']:.3f} kGE per MAC; "
            f"it costs {100 * wide['cost']:.1f} %.\n"
        )
    if report.get("ablations"):
        lines.append(
            markdown_table(
                ["comparison", "ours", "ordinary", "ordinary / ours"],
                [
                    [row["what"], f"{row['ours']:,.0f} ({row['ours_is']})",
                     f"{row['ordinary']:,.0f} ({row['ordinary_is']})", f"{row['ratio']:.2f}"]
                    for row in report["ablations"]
                ],
            )
        )  # fmt: skip
    lines.append(
        markdown_table(
            ["memory of", "width", "depth", "count", "bits"],
            [[f"`{m['unit']}`", str(m["width"]), str(m["depth"]), str(m["count"]),
              f"{m['bits']:,}"] for m in report["memories"]],
        )
    )  # fmt: skip
    return "\n".join(lines)
