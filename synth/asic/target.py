"""Target ``asic``: area and timing of a configuration in cells and macros of a real library."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hw.config import Config
from hw.top.verilog import generate, top_name
from synth.asic.corners import CORNERS, Cells, read_cells, read_text
from synth.asic.macros import Tiling, memory_module, module_name, read_macros, tile
from synth.asic.netlist import aliases, map_part, map_verilog
from synth.asic.timing import Timing, longest_path, require_sta
from synth.generic import areas, library
from synth.hierarchy import Memory, VerilogModule, read_modules
from synth.report import markdown_table
from synth.units import PARTS, Part, memory_table, plan, unit_of
from synth.work import in_parallel
from synth.yosys import PACKAGE, tool_version


@dataclass(frozen=True, kw_only=True)
class Mapped:
    """A design in cells: its ``parts`` and memories with what `map_verilog` made of each."""

    cells: Cells
    verilog: str
    modules: dict[str, VerilogModule]
    parts: list[Part]
    logic: list[dict[str, Any]]
    tilings: dict[Memory, Tiling]
    memories: dict[Memory, dict[str, Any]]
    macro_files: dict[str, list[Path]]

    def liberty(self, corner: str) -> list[Path]:
        """Library files of a corner."""
        return [self.cells.files[corner], *self.macro_files.get(corner, [])]


def asic_report(
    config: Config, *, unit: str | None, liberty: Path, macros: Path | None, jobs: int = 2
) -> dict[str, Any]:
    """Area of logic and memory, the longest path of each unit and of the whole in each corner.

    Without ``macros`` memories are black boxes: no area, and no path through them. A corner that
    has no macros is that of the logic alone.

    Raises:
        PotvitError: a library or macros that will not do, an unknown unit, a tool that is missing
            or fails.
    """
    sta = require_sta()
    mapped = _map(config, unit, liberty, macros, jobs)
    corners = [corner for corner in CORNERS if corner in mapped.cells.files]
    units = _unit_rows(mapped, corners, jobs)
    logic = sum(row["area"] for row in units)
    memory = _memory_area(mapped)
    whole = None if unit else _whole(mapped, config, corners)
    nand2 = mapped.cells.nand2
    return {
        "config": config.name,
        "target": "asic",
        "unit": unit,
        "liberty": {corner: mapped.cells.files[corner].name for corner in corners},
        "macs": config.macs,
        "fmax_mhz": whole and {c: t and round(t.fmax_mhz, 2) for c, t in whole.items()},
        "critical_path": whole and {c: t and _path(config, t) for c, t in whole.items()},
        "mm2_logic": round(logic / 1e6, 6),
        "mm2_memory": None if memory is None else round(memory / 1e6, 6),
        "kge_per_mac": round(logic / nand2 / config.macs / 1000, 4) if nand2 else None,
        "kge_per_mac_generic": None if unit else _generic(config, mapped, jobs),
        "units": units,
        "memories": [
            {"unit": name, "width": m.width, "depth": m.depth, "count": count,
             **_tiling(mapped.tilings.get(m))}
            for name, m, count in memory_table(mapped.parts)
        ],
        "tools": {PACKAGE: tool_version(), "opensta": sta},
    }  # fmt: skip


def _map(config: Config, unit: str | None, liberty: Path, macros: Path | None, jobs: int) -> Mapped:
    cells = read_cells(liberty)
    files, found = read_macros(macros) if macros else ({}, [])
    design = generate(config)
    modules = read_modules(design.verilog)
    parts = plan(modules, unit)
    sizes = sorted({m for part in parts for m in part.memories}, key=lambda m: (m.width, m.depth))
    tilings = {m: tile(m, found, cells.flip_flop) for m in sizes} if macros else {}
    logic = in_parallel(lambda part: map_part(part, cells), parts, jobs=jobs, label=config.name)

    def memory(tiling: Tiling) -> dict[str, Any]:
        lib = read_text(tiling.macro.liberty) if tiling.macro else ""
        return map_verilog(
            memory_module(tiling), module_name(tiling.memory), "", cells,
            f"a memory of {tiling.memory.depth} words of {tiling.memory.width} bits", lib,
        )  # fmt: skip

    made = in_parallel(memory, list(tilings.values()), jobs=jobs, label="memories")
    return Mapped(
        cells=cells, verilog=design.verilog, modules=modules, parts=parts, logic=logic,
        tilings=tilings,
        memories=dict(zip(tilings, made, strict=True)), macro_files=files,
    )  # fmt: skip


def _unit_rows(mapped: Mapped, corners: list[str], jobs: int) -> list[dict[str, Any]]:
    """One row a unit: instances, area in um2, the longest path that begins and ends inside it."""

    def paths(at: int) -> dict[str, float | None]:
        part, made = mapped.parts[at], mapped.logic[at]
        text = mapped.modules[part.top].text
        clock = re.search(r"^  input (\w*clk);", text, re.MULTILINE)
        reset = re.search(r"^  input (\w*rst);", text, re.MULTILINE)
        if clock is None:
            return dict.fromkeys(corners)
        netlists = [made["netlist"]]
        netlists += [
            mapped.memories[m]["netlist"] for m in set(part.memories) & set(mapped.memories)
        ]
        found: dict[str, float | None] = {}
        for corner in corners:
            path = longest_path(
                netlists, part.top, mapped.liberty(corner), clock[1], reset and reset[1]
            )
            found[corner] = None if path is None else round(path.critical_ns, 3)
        return found

    timed = in_parallel(paths, range(len(mapped.parts)), jobs=jobs, label="timing")
    rows: dict[str, dict[str, Any]] = {}
    for part, made, found in zip(mapped.parts, mapped.logic, timed, strict=True):
        row = rows.setdefault(
            part.name,
            {"name": part.name, "part": PARTS[part.name], "instances": 0, "area": 0.0,
             "critical_ns": dict.fromkeys(corners)},
        )  # fmt: skip
        row["instances"] += part.instances
        row["area"] = round(row["area"] + part.instances * made["area"], 2)
        for corner, path in found.items():
            row["critical_ns"][corner] = max(
                filter(None, (row["critical_ns"][corner], path)), default=None
            )
    return list(rows.values())


def _memory_area(mapped: Mapped) -> float | None:
    if not mapped.tilings:
        return None
    return sum(
        count * (mapped.tilings[m].area + mapped.memories[m]["area"])
        for _, m, count in memory_table(mapped.parts)
    )


def _tiling(tiling: Tiling | None) -> dict[str, Any]:
    if tiling is None:
        return {"of": None, "macros": 0}
    if tiling.macro is None:
        return {"of": "flip-flops", "macros": 0}
    return {"of": tiling.macro.name, "macros": tiling.columns * tiling.rows}


def _whole(mapped: Mapped, config: Config, corners: list[str]) -> dict[str, Timing | None]:
    """The longest path of the whole design in each corner."""
    netlists = [made["netlist"] for made in (*mapped.logic, *mapped.memories.values())]
    netlists.append(aliases(mapped.modules, mapped.parts))
    return {
        corner: longest_path(netlists, top_name(config), mapped.liberty(corner), "clk", "rst")
        for corner in corners
    }


def _path(config: Config, timing: Timing) -> dict[str, Any]:
    """A path with the units that it begins and ends in."""

    def unit(pin: str) -> str:
        steps = pin.split("/")
        for end in range(len(steps), 0, -1):
            inside = ".".join(step for step in steps[:end] if step != "same")
            if name := unit_of(f"{top_name(config)}.{inside}"):
                return name
        return "top"

    return asdict(timing) | {"from_unit": unit(timing.start), "to_unit": unit(timing.end)}


def _generic(config: Config, mapped: Mapped, jobs: int) -> float:
    """Thousands of gates per MAC by the generic library, as target ``generic`` has it."""
    parts = mapped.parts
    found = areas(parts, mapped.verilog, library(None), jobs=jobs, label="generic")
    total = sum(part.instances * area.area for part, area in zip(parts, found, strict=True))
    return round(total / config.macs / 1000, 4)


def asic_markdown(report: dict[str, Any]) -> str:
    """The report for people."""
    lines = [f"# `{report['config']}` in cells\n", f"{report['liberty']}; {report['tools']}.\n"]
    if report["fmax_mhz"]:
        rows = []
        for corner, fmax in report["fmax_mhz"].items():
            path = report["critical_path"][corner]
            if path:
                rows.append([corner, f"{fmax:.1f}", f"{path['critical_ns']:.2f}",
                             f"`{path['from_unit']}`", f"`{path['to_unit']}`",
                             str(path["levels"])])  # fmt: skip
        lines.append(markdown_table(["corner", "MHz", "ns", "from", "to", "pins"], rows))
    memory = report["mm2_memory"]
    lines.append(
        f"Logic {report['mm2_logic']:.4f} mm2, memories "
        + (f"{memory:.4f} mm2.\n" if memory is not None else "as black boxes.\n")
    )
    corners = list(report["liberty"])
    lines.append(
        markdown_table(
            ["unit", "instances", "um2", *(f"{corner}, ns" for corner in corners)],
            [
                [f"`{row['name']}`", str(row["instances"]), f"{row['area']:,.0f}",
                 *(f"{row['critical_ns'][c]:.2f}" if row["critical_ns"][c] else "-"
                   for c in corners)]
                for row in report["units"]
            ],
        )
    )  # fmt: skip
    lines.append(
        markdown_table(
            ["memory of", "width", "depth", "count", "made of", "macros in one"],
            [
                [f"`{m['unit']}`", str(m["width"]), str(m["depth"]), str(m["count"]),
                 f"`{m['of']}`" if m["of"] else "-", str(m["macros"])]
                for m in report["memories"]
            ],
        )
    )  # fmt: skip
    return "\n".join(lines)
