"""A search as Markdown, as a plot and as the bits FILEs of its front."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from golden.support.report_file import write_json
from sim.report.document import Figure, Section, Table
from sim.report.style import INK, SERIES, canvas, finish, legend_right


def plot(report: dict[str, Any]) -> Figure:
    """Divergence over cycles of everything measured, with the Pareto front."""
    figure, (axes,) = canvas(12, 5.2)
    everything, chosen = report["measured"], report["front"]
    axes.scatter(
        [row["cycles"] / 1e3 for row in everything], [row["divergence"] for row in everything],
        s=24, color=SERIES[0], alpha=0.6, linewidths=0, label="measured",
    )  # fmt: skip
    xs, ys = [row["cycles"] / 1e3 for row in chosen], [row["divergence"] for row in chosen]
    axes.step(xs, ys, where="post", color=INK, linewidth=1.2, label="Pareto front")
    axes.scatter(xs, ys, s=34, color=INK, zorder=3)
    if report["budget"] is not None:
        axes.axvline(report["budget"] / 1e3, color=SERIES[1], linewidth=1, label="budget")
    axes.set_yscale("log")
    axes.set_xlabel("thousand cycles per picture (cycle model)")
    axes.set_ylabel("divergence of the logits from fp32, held-out half")
    axes.set_title(f"{report['model']} on {report['config']}: {len(everything)} choices of bits")
    legend_right(axes)
    return finish(figure, "front", "divergence over cycles of every measured choice of bits")


def sections(report: dict[str, Any], figure: Figure) -> list[Section]:
    """The front and how it was found."""
    rows = [
        (str(i + 1), f"{row['cycles']:,}", f"{row['agreement']:.2f}", f"{row['divergence']:.4f}",
         f"{row['four']} of {report['layers']}", Path(row["bits"]).name)
        for i, row in enumerate(report["front"])
    ]  # fmt: skip
    header = ("", "cycles", "agreement %", "divergence", "layers at 4 bits", "bits file")
    wanted = (
        f"at most {report['budget']:,} cycles"
        if report["budget"] is not None
        else f"at least {report['target']:g} % agreement"
    )
    text = (
        f"Wanted: {wanted}. {len(report['measured'])} choices were measured; agreement and "
        "divergence are those of the held-out half of the calibration pictures, after quantizing "
        f"on the other half ({report['attn']} codes, no learned rounding). Seed {report['seed']}.",
    )
    return [Section(title="Pareto front", text=text, figures=(figure,),
                    tables=(Table(header=header, rows=rows),))]  # fmt: skip


def write_bits(folder: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write one bits FILE per row of the front, named after its cycles; set ``bits`` and ``four``.

    ``layers`` of a row are the names of its 4-bit layers.
    """
    for row in rows:
        path = folder / f"{row['cycles']}.json"
        write_json(path, dict.fromkeys(row["layers"], 4))
        row["bits"], row["four"] = str(path), len(row["layers"])
