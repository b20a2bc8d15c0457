"""The course of a training run as a plot."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure


def curve(history: Sequence[dict[str, Any]], best: int, title: str) -> str:
    """Return an SVG of loss and objective over epochs; the same history gives the same text."""
    with mpl.rc_context({"svg.hashsalt": "potvit", "svg.fonttype": "none"}):
        figure = Figure(figsize=(8, 4.5), layout="constrained")
        axes = figure.subplots()
        axes.plot(
            [entry["epoch"] for entry in history],
            [entry["objective"] for entry in history],
            marker="o",
            label="all pictures, after the epoch",
        )
        trained = [entry for entry in history if entry["loss"] is not None]
        axes.plot(
            [entry["epoch"] for entry in trained],
            [entry["loss"] for entry in trained],
            label="mean of the epoch's steps",
        )
        axes.axvline(best, color="0.6", linewidth=1, label="kept")
        if min(entry["objective"] for entry in history) > 0:
            axes.set_yscale("log")
        axes.set_xlabel("epoch (0: as calibrated)")
        axes.set_ylabel("loss of a picture")
        axes.set_title(title)
        axes.legend()
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()
