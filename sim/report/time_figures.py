"""Plots of where the cycles of a run went."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from sim.analysis.accounting import CAUSES
from sim.report.document import Figure
from sim.report.style import (
    CAUSE_TEXT,
    COLORS,
    beside,
    canvas,
    finish,
    kinds,
    legend_right,
    stacked,
)

UNITS = ("load", "array", "norm", "attn", "store")
_THOUSANDS = FuncFormatter(lambda x, _: f"{x / 1000:g} k" if x else "0")


def layer_cycles(sim: dict[str, Any]) -> Figure:
    """Cycles of each layer with the prediction, and below what the array lost in it."""
    layers = sim["layers"]
    names = [layer["name"] for layer in layers]
    figure, (top, below) = canvas(13, 7.2, 2, (1.25, 1))
    tones = [COLORS.get(kind, COLORS["other"]) for kind in kinds(names)]
    places = range(len(layers))
    top.bar(places, [x["cycles"] for x in layers], color=tones, width=0.82)
    top.plot(
        places, [x["predicted"] for x in layers], "_", color="black", markersize=9,
        markeredgewidth=1.3,
    )  # fmt: skip
    top.set_title("Cycles per layer in RTL (dash: cycle model)")
    top.yaxis.set_major_formatter(_THOUSANDS)
    top.set_ylabel("cycles")
    top.set_xticks(list(places), [""] * len(layers))
    top.grid(axis="x", visible=False)
    used = dict.fromkeys(kinds(names))
    top.legend(
        handles=[Patch(color=COLORS.get(k, COLORS["other"]), label=k) for k in used],
        loc="center left", bbox_to_anchor=(1.005, 0.5),
    )  # fmt: skip
    losses = {c: [x["array"][c] for x in layers] for c in CAUSES if c != "useful"}
    some = {CAUSE_TEXT[k]: v for k, v in losses.items() if any(v)}
    colors = {CAUSE_TEXT[k]: COLORS[k] for k in losses}
    stacked(below, names, some, colors=colors, horizontal=False)
    below.tick_params(axis="x", rotation=90, labelsize=8)
    below.set_title("Array cycles without a useful product, by cause")
    below.set_ylabel("cycles")
    legend_right(below)
    for axes in (top, below):
        axes.set_xlim(-0.7, len(layers) - 0.3)
    return finish(figure, "layers", "cycles per layer and lost cycles by cause")


def unit_timeline(sim: dict[str, Any]) -> Figure:
    """When each unit worked on which layer: the whole run, and one block of it."""
    figure, (whole, part) = canvas(13, 6.4, 2)
    names = [layer["name"] for layer in sim["layers"]]
    sorts = kinds(names)
    for axes in (whole, part):
        _lines(axes, sim, sorts)
        axes.xaxis.set_major_formatter(_THOUSANDS)
    whole.set_xlim(0, sim["cycles"])
    whole.set_title("Units over the whole run")
    first, last, title = _middle(sim, names)
    part.set_xlim(first, last)
    part.set_title(title)
    part.set_xlabel("cycle")
    handles = [Patch(color=COLORS.get(k, COLORS["other"]), label=k) for k in dict.fromkeys(sorts)]
    whole.legend(handles=handles, loc="center left", bbox_to_anchor=(1.005, 0.5))
    return finish(figure, "timeline", "which unit worked on which layer at which time")


def _lines(axes: Axes, sim: dict[str, Any], sorts: list[str]) -> None:
    for place, unit in enumerate(UNITS):
        line = sim["timeline"][unit]
        by_color: dict[str, list[tuple[int, int]]] = {}
        for layer, start, end in zip(line["layer"], line["start"], line["end"], strict=True):
            color = COLORS.get(sorts[layer], COLORS["other"])
            by_color.setdefault(color, []).append((start, end - start))
        for color, spans in by_color.items():
            axes.broken_barh(
                spans, (place - 0.36, 0.72), facecolors=color, linewidth=0, antialiased=False
            )
    axes.set_yticks(range(len(UNITS)), [u.upper() for u in UNITS])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)


def _middle(sim: dict[str, Any], names: list[str]) -> tuple[int, int, str]:
    """Start and end of the array's work on a block in the middle, and a title."""
    blocks = sorted({n.rsplit(".", 1)[0] for n in names if n.startswith("blocks.")}, key=len)
    if not blocks:
        return 0, sim["cycles"], "The same"
    blocks = sorted(blocks, key=lambda n: int(n.split(".")[1]))
    block = blocks[len(blocks) // 2]
    mine = {i for i, name in enumerate(names) if name.startswith(f"{block}.")}
    line = sim["timeline"]["array"]
    spans = [(s, e) for layer, s, e in zip(*line.values(), strict=True) if layer in mine]
    first, last = min(s for s, _ in spans), max(e for _, e in spans)
    margin = (last - first) // 40
    return first - margin, last + margin, f"The same, {block.replace('blocks.', 'block ')}"


def lost_cycles(sim: dict[str, Any]) -> Figure:
    """What the array did not use, as shares of the run; and the other units' time."""
    figure, (top, below) = canvas(13, 5.8, 2)
    lost = lost_by_cause(sim)
    shares = [100 * x / sim["cycles"] for x in lost.values()]
    colors = [COLORS.get(name.split(" ")[0], COLORS["other"]) for name in lost]
    top.barh(range(len(lost)), shares, color=colors, height=0.66)
    for place, (share, cycles) in enumerate(zip(shares, lost.values(), strict=True)):
        beside(top, share, place, f"{share:.3f} % ({cycles:,.0f} cycles)")
    top.set_yticks(range(len(lost)), [CAUSE_TEXT[name] for name in lost])
    top.invert_yaxis()
    top.set_xlim(0, max(shares, default=1) * 1.25 or 1)
    top.grid(axis="y", visible=False)
    top.set_title(f"Array cycles lost: {sum(shares):.2f} % of {sim['cycles']:,}")
    top.set_xlabel("% of the run")
    times = {u: unit_time(sim, u) for u in UNITS}
    causes = [c for c in dict.fromkeys(c for t in times.values() for c in t) if any(
        t.get(c, 0) > 0 for t in times.values())]  # fmt: skip
    parts = {c: [100 * times[u].get(c, 0) / sim["cycles"] for u in UNITS] for c in causes}
    tones = {c: COLORS.get(c.removeprefix("wait for ").split(" ")[0], "") for c in causes}
    stacked(below, [u.upper() for u in UNITS], parts, colors={k: v for k, v in tones.items() if v})
    below.set_xlim(0, 100)
    below.set_title("Time of every unit, from the RTL's counters")
    below.set_xlabel("% of the run")
    legend_right(below)
    return finish(figure, "stalls", "lost array cycles by cause and time of every unit")


def lost_by_cause(sim: dict[str, Any]) -> dict[str, float]:
    """Array cycles without a useful product by cause, zero ones left out, largest first."""
    found = dict(sim["array_cycles"])
    waiting = found.pop("waiting")
    lost = {name: x for name, x in found.items() if name not in ("useful", "unaccounted")}
    lost |= {f"waiting ({cause})": x for cause, x in waiting.items()}
    return {k: v for k, v in sorted(lost.items(), key=lambda item: -item[1]) if v}


def unit_time(sim: dict[str, Any], unit: str) -> dict[str, float]:
    """Cycles of a unit: stalled by cause, waiting for a unit, starved; ``working`` is the rest."""
    counters = sim["counters"]
    causes: dict[str, float] = {}
    for name, value in counters.items():
        if name.startswith(f"{unit}_stall_") and not name.endswith("_no_instr"):
            causes["stalled in work"] = causes.get("stalled in work", 0) + value
        elif name.startswith(f"{unit}_wait_"):
            causes[f"wait for {name.rsplit('_', 1)[-1]}"] = value
    causes["starved"] = counters[f"{unit}_starved"]
    working = max(0, counters["cycles"] - sum(causes.values()))
    return {"working": working, **causes}
