"""Every point of a sweep through the compiler's cycle model and the area model."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from tqdm import tqdm

from golden.graph import ir
from golden.support.errors import PotvitError
from hw.compiler import compile_graph
from hw.config import Config
from sim.analysis.accounting import precision
from sim.explore.area_model import SRAM_GE_PER_BIT, AreaModel, sram_bits
from sim.explore.space import Point, configuration, reason

_graph: ir.Graph | None = None


def evaluate(
    graph: ir.Graph, preset: Config, points: Sequence[Point], model: AreaModel, *, jobs: int
) -> list[dict[str, Any]]:
    """One dictionary per point: its parameters, and ``refused`` (why) or its figures.

    Figures: ``macs_per_cycle``, ``cycles`` and ``utilisation`` predicted, ``logic_ge``,
    ``kge_per_mac``, ``sram_bits``, ``area_ge`` (logic and memory), ``pareto`` (no other point has
    both fewer cycles and less area).
    """
    tasks = [(preset, point) for point in points]
    with ProcessPoolExecutor(jobs, initializer=_remember, initargs=(graph,)) as pool:
        cycles = list(
            tqdm(pool.map(_predict, tasks), total=len(tasks), desc="points", disable=None)
        )
    rows = []
    for point, found in zip(points, cycles, strict=True):
        row: dict[str, Any] = {
            "name": point.name, "rows": point.rows, "cols": point.cols, "lanes": point.lanes,
            "axi_bytes": point.axi_bytes, "buffers": point.buffers,
        }  # fmt: skip
        if "refused" not in found:
            config = configuration(preset, point)
            gates, bits = model.gates(config), sram_bits(config)
            found |= {
                "logic_ge": round(gates), "kge_per_mac": round(gates / config.macs / 1000, 4),
                "sram_bits": bits, "area_ge": round(gates + SRAM_GE_PER_BIT * bits),
            }  # fmt: skip
        rows.append(row | found)
    mark_pareto(rows)
    return rows


def _remember(graph: ir.Graph) -> None:
    global _graph
    _graph = graph


def _predict(task: tuple[Config, Point]) -> dict[str, Any]:
    preset, point = task
    assert _graph is not None
    try:
        config = configuration(preset, point)
        program = compile_graph(_graph, config)
    except PotvitError as error:
        return {"refused": reason(error, point)}
    peak = precision(program, config)["peak_macs_per_cycle"]
    return {
        "macs_per_cycle": config.macs,
        "cycles": program.cycles,
        "utilisation": program.macs / (peak * program.cycles),
        "blocks": program.blocks,
    }


def mark_pareto(rows: list[dict[str, Any]]) -> None:
    """Set ``pareto`` of every row with figures: none is better in cycles and area."""
    legal = [row for row in rows if "refused" not in row]
    best = None
    for row in sorted(legal, key=lambda r: (r["area_ge"], r["cycles"])):
        row["pareto"] = best is None or row["cycles"] < best
        if row["pareto"]:
            best = row["cycles"]
