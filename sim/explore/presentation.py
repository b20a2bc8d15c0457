"""An exploration as Markdown and as a plot."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sim.explore.area_model import SRAM_GE_PER_BIT
from sim.report.document import Figure, Section, Table, percent
from sim.report.style import COLORS, INK, SERIES, canvas, finish, legend_right


def pareto_plot(report: dict[str, Any]) -> Figure:
    """Cycles over area of every legal point, with the Pareto front."""
    rows = [row for row in report["points"] if "refused" not in row]
    figure, (axes,) = canvas(12, 6.2)
    sizes = sorted({row["macs_per_cycle"] for row in rows})
    for number, macs in enumerate(sizes):
        mine = [row for row in rows if row["macs_per_cycle"] == macs]
        axes.scatter(
            [row["area_ge"] / 1e6 for row in mine], [row["cycles"] for row in mine], s=34,
            color=SERIES[number % len(SERIES)], alpha=0.75, linewidths=0, label=f"{macs} MACs",
        )  # fmt: skip
    front = sorted((row for row in rows if row["pareto"]), key=lambda row: row["area_ge"])
    xs, ys = [row["area_ge"] / 1e6 for row in front], [row["cycles"] for row in front]
    axes.step(xs, ys, where="post", color=INK, linewidth=1.2, label="Pareto front", zorder=1)
    for label, x, y in _labels(xs, ys):
        axes.annotate(label, (x, y), (-9, -13), textcoords="offset points", fontsize=8, ha="right")
    for row, x, y in zip(front, xs, ys, strict=True):
        if row.get("confirmed"):
            good = row["confirmed"]["bit_exact"]
            axes.scatter(x, y, s=320, facecolors="none", zorder=4, linewidths=1.6,
                         edgecolors=INK if good else COLORS["waiting"])  # fmt: skip
    reference = [row for row in rows if row["name"] == report["reference"]]
    for row in reference:
        axes.scatter(row["area_ge"] / 1e6, row["cycles"], marker="*", s=230, color="black",
                     label=f"preset {report['preset']}", zorder=5)  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_minor_formatter("{x:,.0f}")
    axes.tick_params(which="both", labelsize=8.5)
    axes.set_xlabel(f"area in MGE: logic + {SRAM_GE_PER_BIT:g} GE per memory bit")
    axes.set_ylabel("cycles per picture (cycle model)")
    axes.set_title(f"{report['model']} {report['bits']}: {len(rows)} configurations "
                   "(numbers: rows of the table; ring: confirmed in RTL)")  # fmt: skip
    legend_right(axes)
    return finish(figure, "pareto", "cycles over area of every configuration")


def _labels(xs: list[float], ys: list[float]) -> list[tuple[str, float, float]]:
    """Numbers of the front's points; neighbours too close to tell apart share a label."""
    groups: list[list[int]] = []
    for i in range(len(xs)):
        first = groups[-1][0] if groups else None
        near = first is not None and xs[i] < 1.03 * xs[first] and 1.08 * ys[i] > ys[first]
        if near:
            groups[-1].append(i)
        else:
            groups.append([i])
    return [
        (f"{g[0] + 1}" if len(g) == 1 else f"{g[0] + 1}-{g[-1] + 1}", xs[g[0]], ys[g[-1]])
        for g in groups
    ]


def sections(report: dict[str, Any], figure: Figure) -> list[Section]:
    """Front, refusals and how the figures came about."""
    rows = report["points"]
    legal = [row for row in rows if "refused" not in row]
    front = sorted((row for row in legal if row["pareto"]), key=lambda row: row["area_ge"])
    header = ("", "configuration", "MACs", "cycles", "utilisation", "pictures/s at 300 MHz",
              "logic kGE", "kGE per MAC", "memory KiB", "area MGE", "RTL")  # fmt: skip
    refused = Counter(row["refused"] for row in rows if "refused" in row)
    example = {row["refused"]: row["name"] for row in rows if "refused" in row}
    check = [
        (c["config"], f"{c['measured']:,}", f"{c['model']:,}", f"{100 * c['error']:+.1f} %")
        for c in report["area_model"]["check"]
    ]
    return [
        Section(
            title="Pareto front",
            text=[
                f"{len(legal)} of {len(rows)} combinations run {report['model']} "
                f"({report['bits']}, {report['attn']}); predicted cycles, fitted areas. A name is "
                "rows x columns x lanes, bus width in bits, and the share of the preset's "
                "activation, stream and residual buffers.",
            ],
            figures=[figure],
            tables=[Table(header=header, rows=[_row(str(i), r) for i, r in enumerate(front, 1)]),
                    Table(header=header, caption="The preset and the fastest points",
                          rows=[_row("", r) for r in _notable(report, legal)])],
        ),
        Section(
            title="Refused combinations",
            tables=[Table(header=("reason", "points", "for example"),
                          rows=[(why, str(n), example[why]) for why, n in refused.most_common()])],
        ),
        Section(
            title="Where the figures come from",
            text=["Cycles: the compiler's cycle model, within 2 % of the RTL on every layer. Area: "
                  f"a constant and a slope per unit, {report['area_model']['origin']}; memories at "
                  f"{SRAM_GE_PER_BIT:g} NAND2 equivalents per bit, an assumption."],
            tables=[Table(header=("configuration", "measured GE", "model GE", "error"),
                          rows=check)],
        ),
    ]  # fmt: skip


def _notable(report: dict[str, Any], legal: list[dict[str, Any]]) -> list[dict[str, Any]]:
    named = [row for row in legal if row["name"] == report["reference"]]
    fastest = sorted(legal, key=lambda row: (row["cycles"], row["area_ge"]))[:3]
    return named + [row for row in fastest if row not in named]


def _row(number: str, row: dict[str, Any]) -> tuple[str, ...]:
    found = row.get("confirmed")
    rtl = "-"
    if found:
        off = (found["predicted"] - found["cycles"]) / found["cycles"]
        verdict = "bit-exact" if found["bit_exact"] else "NOT equal"
        rtl = f"{verdict}, {found['cycles']:,} cycles (model {100 * off:+.2f} %)"
    return (
        number,
        row["name"],
        f"{row['macs_per_cycle']}",
        f"{row['cycles']:,}",
        percent(row["utilisation"], 1),
        f"{300e6 / row['cycles']:.1f}",
        f"{row['logic_ge'] / 1000:,.0f}",
        f"{row['kge_per_mac']:.2f}",
        f"{row['sram_bits'] / 8192:,.0f}",
        f"{row['area_ge'] / 1e6:.2f}",
        rtl,
    )
