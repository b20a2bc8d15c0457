"""Units mapped to cells one by one, and their netlists put together to the whole design."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from golden.support.errors import PotvitError
from hw.lib.memory import MODULE
from synth.asic.corners import Cells
from synth.asic.macros import module_header, module_name
from synth.generic import PREPARE, black_box
from synth.hierarchy import Memory, VerilogModule, escaped
from synth.units import Part
from synth.work import remembered
from synth.yosys import run_script, scratch, tool_version

#: Picoseconds that ABC sizes cells for: far less than any path takes.
PERIOD = 1000

_SCRIPT = (
    """\
read_liberty -lib -ignore_miss_func cells.lib
{macros}read_verilog -lib boxes.v
read_verilog design.v
"""
    + PREPARE
    + """\
memory
opt -full
techmap
opt -fast -full
dfflibmap -prepare -liberty cells.lib
opt -fast -full -nodffe -nosdff
clean -purge
{tied}dfflibmap -map-only -liberty cells.lib
abc -liberty cells.lib -D {period}
{ties}opt_clean -purge
tee -o stat.json stat -json -liberty cells.lib
write_verilog -noattr -noexpr -nohex -nodec -simple-lhs netlist.json
"""
)

# A flip-flop's reset, tied to the level at which it does nothing.
_TIED = """\
module \\$_DFF_P_ (input C, D, output Q);
  \\$_DFF_P{name}0_ _TECHMAP_REPLACE_ (.C(C), .D(D), .R(1'b{quiet}), .Q(Q));
endmodule
"""
_INSTANCE = re.compile(rf"{MODULE} #\((.*?)\) ", re.DOTALL)
_PARAMETER = re.compile(r"\.(\w+)\((?:32'[sd]*)?(\d+)\)")


def memory_box(memory: Memory) -> str:
    """The module of a memory as a black box."""
    return f"(* blackbox *)\n{module_header(memory)}\nendmodule\n"


def _sized(text: str) -> str:
    """``text`` with a module of its own for every size of memory instead of parameters."""

    def name(found: re.Match[str]) -> str:
        size = {key: int(value) for key, value in _PARAMETER.findall(found[1])}
        return module_name(Memory(width=size["WIDTH"], depth=size["DEPTH"])) + " "

    return _INSTANCE.sub(name, text)


def map_part(part: Part, cells: Cells) -> dict[str, Any]:
    """``netlist`` (Verilog, its module named as the part's top), ``area`` and ``cells`` of a part.

    Raises:
        PotvitError: Yosys fails or leaves something that is no cell.
    """
    memories = {module_name(memory): memory for memory in part.memories}
    boxes = [memory_box(memory) for memory in memories.values()]
    boxes += [black_box(box) for box in part.boxes]
    design = "\n\n".join(_sized(module.text) for module in part.modules) + "\n"
    # By contents: a netlist has the names of its own instances, which its digest leaves out.
    return map_verilog(design, part.top, "".join(boxes), cells, f"unit {part.name}")


def map_verilog(
    design: str, top: str, boxes: str, cells: Cells, what: str, macros: str = ""
) -> dict[str, Any]:
    """As `map_part`, of Verilog; ``macros`` is Liberty text of cells that ``design`` has in it."""
    ties = [
        f"-{level}cell {tie[0]} {tie[1]} "
        for level, tie in (("hi", cells.tie_high), ("lo", cells.tie_low)) if tie
    ]  # fmt: skip
    script = _SCRIPT.format(
        top=escaped(top),
        macros="read_liberty -lib -ignore_miss_func macros.lib\n" if macros else "",
        tied="" if cells.active is None else "techmap -map tied.v\n",
        ties=f"hilomap -singleton {''.join(ties)}\n" if ties else "",
        period=PERIOD,
    )
    files = {"cells.lib": cells.text, "boxes.v": boxes or "// none\n", "design.v": design}
    if cells.active is not None:
        name = "P" if cells.active else "N"
        files["tied.v"] = _TIED.format(name=name, quiet=1 - cells.active)
    if macros:
        files["macros.lib"] = macros

    def make() -> dict[str, Any]:
        with scratch() as folder:
            kept = folder / "netlist.v"
            stat = run_script(script, files, what, keep=kept)
            netlist = kept.read_text(encoding="utf-8")
        found = stat["design"]["num_cells_by_type"]
        strange = sorted(name for name in found if name.startswith("$") and "paramod" not in name)
        if strange:
            raise PotvitError(f"{what}: the library has no cell for {', '.join(strange)}")
        return {
            "netlist": netlist,
            "area": stat["design"].get("area", 0.0),
            "sequential": stat["design"].get("sequential_area", 0.0),
            "cells": found,
        }

    return remembered([script, tool_version(), "asic", *files.values()], make)


def aliases(modules: Mapping[str, VerilogModule], parts: Iterable[Part]) -> str:
    """Verilog modules for the instances of each part but the one that was mapped.

    Equal modules have the same ports in the same order under names of their own.
    """
    by_digest: dict[str, VerilogModule] = {}
    mapped = {part.top for part in parts}
    inside = {module.name for part in parts for module in part.modules}
    for name in mapped:
        by_digest[modules[name].digest] = modules[name]
    wrappers = []
    for name, module in modules.items():
        model = by_digest.get(module.digest)
        if model is None or name in mapped or name in inside:
            continue
        header, ports = _header(module)
        _, inner = _header(model)
        pins = ", ".join(
            f".{escaped(a)} ({escaped(b)} )" for a, b in zip(inner, ports, strict=True)
        )
        lines = re.findall(r"^  (?:input|output) .*$", module.text, re.MULTILINE)
        wrappers.append(
            "\n".join([f"{header};", *lines, f"  {escaped(model.name)} same ({pins});",
                       "endmodule\n"])
        )  # fmt: skip
    return "\n".join(wrappers)


def _header(module: VerilogModule) -> tuple[str, list[str]]:
    """The first line, and the ports' names in its order."""
    header = module.text.partition(";\n")[0]
    names = re.findall(r"\\(\S+)|(\w+)", header.partition("(")[2])
    return header, [quoted or plain for quoted, plain in names]


def write_netlists(folder: Path, netlists: Iterable[str]) -> list[str]:
    """Files for the timing engine, by name."""
    names = []
    for i, text in enumerate(netlists):
        name = f"netlist{i}.v"
        (folder / name).write_text(text, encoding="utf-8")
        names.append(name)
    return names
