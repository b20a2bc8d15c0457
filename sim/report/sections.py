"""The sections of a report, from the JSON files that there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sim.report import resource_figures, time_figures
from sim.report.area_and_peers import area, peers
from sim.report.document import Section, Table, percent
from sim.report.inputs import Inputs, published
from sim.report.style import CAUSE_TEXT
from sim.report.summary import off, speed, summary


def all_sections(inputs: Inputs, mhz: float) -> list[Section]:
    """Every section; what lacks its input says which target makes it."""
    return [
        summary(inputs),
        *performance(inputs),
        *memory_and_traffic(inputs),
        area(inputs),
        *speed(inputs, mhz),
        peers(inputs, mhz),
    ]


def performance(inputs: Inputs) -> list[Section]:
    """Cycles per layer, timeline, stalls, roofline."""
    sim = inputs.sim
    if sim is None:
        return []
    return [
        Section(
            title="Cycles per layer",
            text=["An array instruction is charged the time since the one before was done, in the "
                  "cycle model as in the RTL trace; a layer's loss by cause counts cycles in which "
                  "the array, or part of it, had no useful product."],
            figures=[time_figures.layer_cycles(sim)],
            tables=[layer_table(sim)],
        ),
        Section(title="Timeline of the units", figures=[time_figures.unit_timeline(sim)]),
        Section(title="Lost cycles", figures=[time_figures.lost_cycles(sim)],
                tables=[loss_table(sim), stall_table(sim)]),
        Section(title="Roofline", text=[
            "A layer's bytes are those of its own loads. Weights that were fetched while the layer "
            "before still computed can lift a short layer, such as the head, above the bus's roof."
        ], figures=[resource_figures.roofline(sim)]),
    ]  # fmt: skip


def layer_table(sim: dict[str, Any]) -> Table:
    """One row per layer."""
    rows = []
    for x in sim["layers"]:
        waste = sum(v for k, v in x["array"].items() if k != "useful")
        rows.append(
            (x["name"], f"{x['cycles']:,}", f"{x['predicted']:,}",
             off(x["predicted"], x["cycles"]), f"{x['array_busy']:,}", f"{waste:,.0f}",
             f"{x['macs']:,}", f"{x['dram_read'] + x['dram_write']:,}")
        )  # fmt: skip
    total = sum(x["array_busy"] for x in sim["layers"])
    rows.append(
        ("all", f"{sim['cycles']:,}", f"{sim['predicted_cycles']:,}",
         off(sim["predicted_cycles"], sim["cycles"]), f"{total:,}",
         f"{sim['cycles'] - sim['array_cycles']['useful']:,.0f}", f"{sim['macs']:,}",
         f"{sum(sim['dram_bytes'].values()):,}")
    )  # fmt: skip
    header = ("layer", "cycles", "cycle model", "off", "array busy", "lost", "MACs", "DRAM bytes")
    return Table(header=header, rows=rows)


def loss_table(sim: dict[str, Any]) -> Table:
    """Every cycle of the run by what the array did in it."""
    found = {"useful": sim["array_cycles"]["useful"], **time_figures.lost_by_cause(sim)}
    rows = [(CAUSE_TEXT[k], f"{v:,.1f}", percent(v / sim["cycles"], 3)) for k, v in found.items()]
    missing = sim["array_cycles"]["unaccounted"]
    rows.append(("unaccounted", f"{missing:,.1f}", percent(missing / sim["cycles"], 3)))
    total = sum(found.values()) + missing
    rows.append(("all cycles", f"{total:,.1f}", percent(total / sim["cycles"], 3)))
    return Table(header=("the array", "cycles", "share"), rows=rows)


def stall_table(sim: dict[str, Any]) -> Table:
    """Every unit's counters that are not zero."""
    rows = []
    for unit in time_figures.UNITS:
        prefix = f"{unit}_"
        for name, value in sim["counters"].items():
            if name.startswith(prefix) and value:
                cause = name.removeprefix(prefix).replace("_", " ")
                share = percent(value / sim["cycles"], 3)
                rows.append((unit.upper(), cause, f"{value:,}", share))
    return Table(
        header=("unit", "counter", "cycles", "share"), rows=rows,
        caption="RTL counters of the units (those of one unit may overlap)",
    )  # fmt: skip


def memory_and_traffic(inputs: Inputs) -> list[Section]:
    """Buffers, bytes by level, energy proxy."""
    sim = inputs.sim
    if sim is None:
        return []
    costs = published("energy")
    price = costs["picojoules"]
    rows: list[Sequence[str]] = []
    levels: dict[str, float] = {}

    def add(level: str, what: str, count: float, unit: str, key: str) -> None:
        if count:
            each = count * price[key] * 1e-6
            levels[level] = levels.get(level, 0.0) + each
            rows.append((level, what, f"{count:,}", unit, f"{price[key]:g}", f"{each:,.2f}"))

    add("array", "8x8 products", sim["macs_8x8"], "MAC", "mac_8x8")
    add("array", "8x4 products", sim["macs_8x4"], "MAC", "mac_8x4")
    add("array", "4x4 products", sim.get("macs_4x4", 0), "MAC", "mac_4x4")
    for name, moved in sim["on_chip_bytes"].items():
        for way, count in moved.items():
            add("on-chip memories", f"{name.upper()} {way}", count, "byte", "on_chip_byte")
    for way, count in sim["dram_bytes"].items():
        add("DRAM", way, count, "byte", "dram_byte")
    memory = [
        (name.upper(), f"{m['used']:,}", f"{m['words']:,}", f"{m['word_bytes']}",
         f"{m['used'] * m['word_bytes']:,}", f"{m['words'] * m['word_bytes']:,}",
         percent(m["used"] / m["words"], 1))
        for name, m in sim["memory"].items()
    ]  # fmt: skip
    total = sum(sim["dram_bytes"].values())
    return [
        Section(
            title="Memory use",
            text=["What STREAM does not need it uses for weights that are fetched ahead."],
            figures=[resource_figures.memory_use(sim["memory"])],
            tables=[Table(header=("buffer", "words used", "of", "bytes per word", "bytes used",
                                  "of bytes", "share"), rows=memory)],
        ),
        Section(
            title="Traffic and energy proxy",
            text=[f"DRAM: {total:,} bytes per picture, {total / sim['cycles']:.2f} of "
                  f"{sim['bus_bytes_per_cycle']} bytes per cycle. On-chip bytes count whole words "
                  "of every port that is enabled.",
                  f"The energies per operation are published ones, not of this design: "
                  f"{costs['source']}"],
            figures=[resource_figures.energy(levels)],
            tables=[Table(header=("level", "what", "count", "unit", "pJ each", "uJ"), rows=rows)],
        ),
    ]  # fmt: skip
