"""Look of the plots, and their SVG text."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from sim.report.document import Figure
from sim.report.theme import EDGE, GRID, IDLE, INK, MUTED, PAPER

#: One colour per meaning, the same in every plot (readable without red-green vision).
COLORS = {
    "useful": "#2f6f9f", "rows": "#f0a04b", "columns": "#d9793d", "lanes": "#b35a2b",
    "pace": "#8b6bb1", "parameters": "#b08cd0", "constants": "#7fae6b", "waiting": "#c8404d",
    "patch_embed": "#8b6bb1", "attention": "#d9793d", "proj": "#e3bb4a", "fc1": "#2f6f9f",
    "fc2": "#7fb2d6", "head": "#c8404d",
    "working": "#2f6f9f", "starved": IDLE, "other": "#aab4bf",
    "load": "#c8404d", "array": "#f0a04b", "norm": "#7fae6b", "attn": "#8b6bb1", "store": "#6b7785",
}  # fmt: skip
SERIES = ("#2f6f9f", "#d9793d", "#7fae6b", "#8b6bb1", "#c8404d", "#e3bb4a", "#6b7785", "#5bb0b5",
          "#b08cd0", "#aab4bf")  # fmt: skip

#: What a reader is told instead of the short name of a cause (see `sim.analysis.accounting`).
CAUSE_TEXT = {
    "useful": "useful products",
    "rows": "rows without a token",
    "columns": "columns without a channel or key",
    "lanes": "lanes beyond the last channel",
    "pace": "tile shorter than its drain",
    "parameters": "reading bias and shift",
    "constants": "waiting for position constants",
    "waiting": "waiting for an instruction",
    "waiting (starved)": "waiting for the first instruction",
    "waiting (issue)": "handing an instruction over",
    **{f"waiting ({u})": f"waiting for {u.upper()}" for u in ("load", "norm", "attn", "store")},
}

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none", "svg.hashsalt": "potvit", "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"], "font.size": 9.5, "axes.titlesize": 10.5,
    "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.edgecolor": EDGE,
    "axes.labelcolor": INK, "text.color": INK, "xtick.color": MUTED, "ytick.color": MUTED,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
    "axes.axisbelow": True, "grid.color": GRID, "legend.frameon": False,
    "legend.fontsize": 9, "figure.facecolor": PAPER, "axes.facecolor": PAPER,
    "savefig.facecolor": PAPER,
}  # fmt: skip


def canvas(
    width: float, height: float, rows: int = 1, ratios: Sequence[float] | None = None
) -> tuple[Canvas, list[Axes]]:
    """A drawing of ``width`` x ``height`` inches with ``rows`` plots, one above the other."""
    mpl.rcParams.update(_STYLE)  # type: ignore[arg-type]
    figure = Canvas(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, 1, squeeze=False, gridspec_kw={"height_ratios": ratios})
    return figure, [a for row in axes for a in row]


def finish(figure: Canvas, name: str, alt: str) -> Figure:
    """The drawing as SVG text that is the same for the same data, scalable, without a prologue."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    svg = text[text.index("<svg") :]
    # Several drawings share one page, so their names must differ.
    svg = re.sub(r'\b(id="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    return Figure(name=name, svg=svg, alt=alt)


def stacked(
    axes: Axes,
    labels: Sequence[str],
    parts: Mapping[str, Sequence[float]],
    *,
    colors: Mapping[str, str] | None = None,
    horizontal: bool = True,
) -> None:
    """Stacked bars, one per label; ``parts`` maps a part to its size in every bar."""
    base = [0.0] * len(labels)
    places = range(len(labels))
    for number, (part, sizes) in enumerate(parts.items()):
        color = (colors or COLORS).get(part, SERIES[number % len(SERIES)])
        if horizontal:
            axes.barh(places, sizes, left=base, color=color, label=part, height=0.66)
        else:
            axes.bar(places, sizes, bottom=base, color=color, label=part, width=0.82)
        base = [b + s for b, s in zip(base, sizes, strict=True)]
    if horizontal:
        axes.set_yticks(list(places), labels)
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
    else:
        axes.set_xticks(list(places), labels)
        axes.grid(axis="x", visible=False)


def beside(axes: Axes, x: float, y: float, text: str) -> None:
    """A label a little to the right of the end of a bar."""
    axes.annotate(text, (x, y), (5, 0), textcoords="offset points", va="center", fontsize=9)


def legend_right(axes: Axes, **options: Any) -> None:
    """The legend beside the plot, where it covers nothing."""
    axes.legend(loc="center left", bbox_to_anchor=(1.005, 0.5), **options)


def kinds(names: Iterable[str]) -> list[str]:
    """What sort of layer each name is: its last part (``blocks.3.fc1`` is ``fc1``)."""
    return [name.rsplit(".", 1)[-1] for name in names]
