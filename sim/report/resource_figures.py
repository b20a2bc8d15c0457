"""Plots of what a run and a configuration need: bandwidth, memory, energy, area."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sim.report.document import Figure
from sim.report.style import COLORS, SERIES, beside, canvas, finish, kinds, legend_right, stacked


def roofline(sim: dict[str, Any]) -> Figure:
    """MACs per cycle of every layer over its MACs per DRAM byte, below the two roofs."""
    figure, (axes,) = canvas(11, 4.6)
    layers = [x for x in sim["layers"] if x["dram_read"] + x["dram_write"]]
    intensity = [x["macs"] / (x["dram_read"] + x["dram_write"]) for x in layers]
    rate = [x["macs"] / x["cycles"] for x in layers]
    peak, bus = sim["peak_macs_per_cycle"], sim["bus_bytes_per_cycle"]
    low, high = min([*intensity, peak / bus]) / 2, max([*intensity, peak / bus]) * 2
    xs = np.geomspace(low, high, 200)
    axes.plot(xs, np.minimum(peak, bus * xs), color=COLORS["other"], linewidth=2)
    for kind in dict.fromkeys(kinds(x["name"] for x in layers)):
        mine = [i for i, k in enumerate(kinds(x["name"] for x in layers)) if k == kind]
        axes.scatter(
            [intensity[i] for i in mine], [rate[i] for i in mine], s=46, label=kind,
            color=COLORS.get(kind, SERIES[0]), edgecolors="white", linewidths=0.6, zorder=3,
        )  # fmt: skip
    total = sum(sim["dram_bytes"].values())
    axes.scatter(
        sim["macs"] / total, sim["macs"] / sim["cycles"], marker="*", s=190, color="black",
        label="whole run", zorder=4,
    )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("MACs per byte from and to DRAM")
    axes.set_ylabel("MACs per cycle")
    axes.set_ylim(top=3 * peak)
    axes.text(high, peak * 1.35, f"array: {peak} MACs per cycle", ha="right", fontsize=9)
    beside(axes, 1.4 * low, 1.3 * low * bus, f"bus: {bus} bytes per cycle")
    axes.set_title("Roofline (attention reads no keys or values from DRAM: they stay on chip)")
    legend_right(axes)
    return finish(figure, "roofline", "MACs per cycle over MACs per DRAM byte of each layer")


def memory_use(memory: Mapping[str, Mapping[str, int]]) -> Figure:
    """Bytes of every buffer, used and free."""
    figure, (axes,) = canvas(11, 0.42 * len(memory) + 1.1)
    used = [m["used"] * m["word_bytes"] / 1024 for m in memory.values()]
    have = [m["words"] * m["word_bytes"] / 1024 for m in memory.values()]
    free = [b - a for a, b in zip(used, have, strict=True)]
    stacked(
        axes, [name.upper() for name in memory], {"used": used, "free": free},
        colors={"used": COLORS["useful"], "free": COLORS["starved"]},
    )  # fmt: skip
    for place, (a, b) in enumerate(zip(used, have, strict=True)):
        beside(axes, b, place, f"{a:.1f} of {b:.1f} KiB")
    axes.set_xlim(0, max(have) * 1.2)
    axes.set_xlabel("KiB")
    axes.set_title("On-chip buffers: what the program uses")
    legend_right(axes)
    return finish(figure, "memory", "bytes used and free in every buffer")


def energy(levels: Mapping[str, float]) -> Figure:
    """Share of each level in the energy proxy (microjoules per picture)."""
    figure, (axes,) = canvas(11, 0.42 * len(levels) + 1.1)
    places = range(len(levels))
    total = sum(levels.values()) or 1
    axes.barh(places, list(levels.values()), color=SERIES[: len(levels)], height=0.66)
    for place, value in enumerate(levels.values()):
        beside(axes, value, place, f"{value:,.1f} uJ ({100 * value / total:.1f} %)")
    axes.set_yticks(list(places), list(levels))
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlim(0, max(levels.values()) * 1.25 or 1)
    axes.set_xlabel("uJ per picture, by published energies per operation")
    axes.set_title("Energy proxy")
    return finish(figure, "energy", "energy proxy by level")


def area(report: dict[str, Any]) -> Figure:
    """Area of the parts of the design, each split into its units."""
    parts = sorted(report["parts"], key=lambda part: -part["area"])
    figure, (axes,) = canvas(11, 0.42 * len(parts) + 1.1)
    scale = 1000
    for place, part in enumerate(parts):
        base = 0.0
        units = [u for u in report["units"] if u["part"] == part["name"]]
        for number, unit in enumerate(sorted(units, key=lambda u: -u["area"])):
            size = unit["area"] / scale
            axes.barh(
                place, size, left=base, height=0.66, color=SERIES[number % len(SERIES)],
                edgecolor="white", linewidth=0.5,
            )  # fmt: skip
            if size > 0.09 * parts[0]["area"] / scale:
                axes.text(
                    base + size / 2, place, unit["name"], ha="center", va="center",
                    color="white", fontsize=8,
                )  # fmt: skip
            base += size
        beside(axes, base, place, f"{base:,.1f} ({100 * part['share']:.1f} %)")
    axes.set_yticks(range(len(parts)), [part["name"] for part in parts])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlim(0, parts[0]["area"] / scale * 1.2)
    unit = "kGE" if report["area_unit"] == "NAND2" else f"1000 {report['area_unit']}"
    axes.set_xlabel(f"{unit} (memories excluded)")
    axes.set_title("Area by part of the design and unit")
    return finish(figure, "area", "area by part and unit")


def utilisation(rows: Mapping[str, float]) -> Figure:
    """Array utilisation of this run and of published systems."""
    figure, (axes,) = canvas(11, 0.42 * len(rows) + 1.1)
    values = [100 * v for v in rows.values()]
    colors = [COLORS["useful"]] + [COLORS["other"]] * (len(rows) - 1)
    axes.barh(range(len(rows)), values, color=colors, height=0.66)
    for place, value in enumerate(values):
        beside(axes, value, place, f"{value:.1f} %")
    axes.set_yticks(range(len(rows)), list(rows))
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlim(0, 110)
    axes.set_xlabel("% of peak MACs per cycle")
    axes.set_title("Array utilisation")
    return finish(figure, "peers", "array utilisation beside published figures")
