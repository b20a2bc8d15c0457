"""Sections of a report on gates, FPGAs, and published systems."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sim.report import resource_figures
from sim.report.document import Section, Table, percent
from sim.report.inputs import Inputs, published


def area(inputs: Inputs) -> Section:
    """Areas from synthesis."""
    report = inputs.area
    if report is None:
        return Section(title="Area", notes=[inputs.missing["area"]])
    rows = [
        (u["name"], u["part"], f"{u['instances']}", f"{u['area']:,.0f}", percent(u["share"], 1))
        for u in sorted(report["units"], key=lambda u: -u["area"])
    ]
    rows.append(("all", "", "", f"{report['totals']['area']:,.0f}", "100.0 %"))
    text = [
        f"{report['kge_per_mac']} kGE per 8x8 MAC; {report['sram_bits']:,} memory bits as black "
        f"boxes; {', '.join(f'{k} {v}' for k, v in report['tools'].items())}."
    ]
    if alone := report.get("eight_bit_only"):
        text.append(
            f"With 8x8 products alone {alone['kge_per_mac']} kGE per MAC: precision scaling costs "
            f"{percent(alone['cost'], 1)} of the logic."
        )
    if wide := report.get("eight_by_four"):
        text.append(f"The 4x4 mode adds {percent(wide['cost'], 1)} to the logic without it.")
    tables = [Table(header=("unit", "part", "instances", report["area_unit"], "share"), rows=rows)]
    if report.get("ablations"):
        tables.append(
            Table(
                header=("comparison", "ours", "ordinary", "ordinary / ours"),
                rows=[
                    (x["what"], f"{x['ours']:,.0f} ({x['ours_is']})",
                     f"{x['ordinary']:,.0f} ({x['ordinary_is']})", f"{x['ratio']:.2f}")
                    for x in report["ablations"]
                ],
            )
        )  # fmt: skip
    tables += _fpga(inputs)
    return Section(title="Area", text=text, figures=[resource_figures.area(report)], tables=tables)


def _fpga(inputs: Inputs) -> list[Table]:
    """Resources of FPGAs, as far as they were measured."""
    tables = []
    if inputs.fpga:
        counts = [(kind, f"{count:,g}") for kind, count in inputs.fpga["totals"].items()]
        caption = f"{inputs.fpga['config']} on UltraScale+, not placed"
        tables.append(Table(header=("resource", "used"), rows=counts, caption=caption))
    if inputs.placed:
        placed = inputs.placed
        path = ", ".join(f"{step['unit']} {step['ns']:.1f} ns" for step in placed["critical_path"])
        tables.append(
            Table(
                header=("resource", "used", "available", "share"),
                rows=[
                    (kind, f"{row['used']:,}", f"{row['available']:,}", percent(row["share"], 1))
                    for kind, row in placed["totals"].items()
                ],
                caption=f"{placed['config']} placed and routed on {placed['part']}: "
                f"{placed['fmax_mhz']:.1f} MHz; critical path: {path}",
            )
        )
    return tables


def peers(inputs: Inputs, mhz: float) -> Section:
    """Published systems beside this one."""
    facts = published("peers")
    rows: list[Sequence[str]] = []
    bars: dict[str, float] = {}
    sim = inputs.sim
    if sim is not None:
        bars["PoTViT, this run (counter)"] = sim["array_utilisation"]
        per_mac = inputs.area["kge_per_mac"] if inputs.area else None
        rows.append(
            (f"PoTViT {sim['config']}, {sim['model']} {sim['bits']}", "RTL, compiler, golden model",
             "yes: every tensor" if sim["bit_exact"] else "no",
             f"{sim['peak_macs_per_cycle']}", f"{sim['cycles']:,}",
             f"{percent(sim['array_utilisation'], 1)} (counter)",
             f"{1e6 * mhz / sim['cycles']:.0f} if at {mhz:g} MHz",
             _text(per_mac), "", "this report")
        )  # fmt: skip
    for s in facts["systems"]:
        kind, used = s["utilisation_kind"], s["utilisation"]
        rows.append(
            (s["name"], s["open"], _text(s["whole_network_in_rtl"]), _text(s["macs"]),
             _text(s["cycles"]), f"{percent(used, 1)} ({kind})" if used else "-",
             f"{s['fps']} at {s['mhz']} MHz" if s["fps"] else "-", _text(s["kge_per_mac"]),
             s["remark"], s["source"])
        )  # fmt: skip
        if used:
            bars[f"{s['name']} ({kind})"] = used
    header = ("system", "open", "whole network in RTL", "MACs", "cycles", "utilisation",
              "pictures/s", "kGE per MAC", "remark", "source")  # fmt: skip
    accuracy = Table(
        header=("ImageNet top-1", "DeiT-T", "DeiT-S", "DeiT-B", "source"),
        rows=[
            (a["name"], *(f"{a[m]:.2f}" for m in ("deit_tiny", "deit_small", "deit_base")),
             a["source"])
            for a in facts["accuracy"]
        ],
        caption="Published accuracy (50,000 pictures; not comparable with small samples)",
    )  # fmt: skip
    return Section(
        title="Beside published figures",
        text=["Published figures are of other networks, precisions and technologies; none "
              "was found where there is a dash."],
        figures=[resource_figures.utilisation(bars)] if bars else [],
        tables=[Table(header=header, rows=rows), accuracy],
    )  # fmt: skip


def _text(value: Any) -> str:
    if value is None or value == "":
        return "-"
    return f"{value:,}" if isinstance(value, int) else str(value)
