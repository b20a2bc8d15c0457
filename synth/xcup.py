"""Target ``xcup``: resources of AMD UltraScale+ FPGAs, unit by unit."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from golden.ops.psmac import MacMode
from golden.support.errors import PotvitError
from hw.config import Config
from hw.lib.memory import MODULE
from hw.top.verilog import generate
from synth.generic import black_box, memory_box
from synth.hierarchy import Memory, escaped, read_modules
from synth.report import markdown_table
from synth.units import PARTS, Part, memory_table, plan
from synth.work import in_parallel, remembered
from synth.yosys import PACKAGE, run_script, tool_version

KINDS = ("LUT", "LUTRAM", "FF", "CARRY4", "DSP", "BRAM36", "URAM")

# Yosys moves sums and registers into the multipliers' blocks for the seven series only. The blocks
# of UltraScale+ have these ports and settings too, a wider multiplier apart: they go through that
# pass under the older name.
_READ = """\
read_verilog -lib boxes.v
read_verilog design.v
{{parameters}}{synth} -top {{top}} -run begin:coarse
chtype -set DSP48E1 t:DSP48E2
xilinx_dsp -family xc7
chtype -set DSP48E2 t:DSP48E1
{synth} -top {{top}} -run coarse:""".format(
    synth="synth_xilinx -family xcup -uram -flatten -noiopad -noclkbuf"
)
_STAT = "\ntee -o stat.json stat -json\n"
_MAP = (
    _READ + _STAT,
    # ABC9 fails an internal check on some netlists; plain ABC does not know the wide multiplexers.
    _READ
    + """map_luts
abc -luts 2:2,3,6:5
clean
techmap -map +/xilinx/lut_map.v -map +/xilinx/cells_map.v -D LUT_WIDTH=6
xilinx_dffopt
opt_lut_ins -tech xilinx
clean"""
    + _STAT,
)


def mapping_script(top: str, parameters: str = "", script: str = _MAP[0]) -> str:
    """Yosys script that maps module ``top`` of ``design.v``, with black boxes ``boxes.v``.

    ``parameters`` are commands before; ``top`` is as in Verilog.
    """
    return script.format(top=top, parameters=parameters)


def resources(stat: dict[str, Any]) -> dict[str, float]:
    """`KINDS` counted in a Yosys ``stat``; an 18-kbit block counts half a 36-kbit one."""
    found: Counter[str] = Counter()
    for cell, count in stat["design"]["num_cells_by_type"].items():
        if re.fullmatch(r"LUT[1-6]", cell):
            found["LUT"] += count
        elif re.fullmatch(r"RAM\d+(M|X|D|S)\w*|SRL\w+", cell):
            found["LUTRAM"] += count
        elif re.fullmatch(r"FD[RSCP]E(_1)?", cell):
            found["FF"] += count
        elif cell == "CARRY4":
            found["CARRY4"] += count
        elif cell.startswith("DSP48"):
            found["DSP"] += count
        elif cell.startswith("RAMB36"):
            found["BRAM36"] += count
        elif cell.startswith("RAMB18"):
            found["BRAM36"] += count / 2
        elif cell.startswith("URAM288"):
            found["URAM"] += count
    return {kind: found[kind] for kind in KINDS}


def _mapped(material: list[str], files: dict[str, str], what: str, **words: str) -> dict[str, Any]:
    """`resources`, by the first script that works."""

    def make() -> dict[str, Any]:
        for script in _MAP[:-1]:
            try:
                return resources(run_script(mapping_script(script=script, **words), files, what))
            except PotvitError as error:
                if "Assert" not in str(error):
                    raise
        return resources(run_script(mapping_script(script=_MAP[-1], **words), files, what))

    return remembered([*material, *_MAP, tool_version(), "xcup"], make)


def _unit(part: Part, memory: str) -> dict[str, Any]:
    files = {
        "boxes.v": memory + "".join(black_box(box) for box in part.boxes),
        "design.v": "\n\n".join(module.text for module in part.modules) + "\n",
    }
    top = escaped(part.top)
    return _mapped([part.digest], files, f"unit {part.name}", top=top, parameters="")


def _memory(size: Memory, source: str) -> dict[str, Any]:
    files = {"boxes.v": "// none\n", "design.v": source}
    name = f"a memory of {size.depth} words of {size.width} bits"
    chosen = f"chparam -set WIDTH {size.width} -set DEPTH {size.depth} {MODULE}\n"
    return _mapped([source, str(size)], files, name, top=MODULE, parameters=chosen)


def xcup_report(config: Config, *, unit: str | None = None, jobs: int = 2) -> dict[str, Any]:
    """Resources of each unit with its memories, and totals; ``fmax_mhz`` is None (no timing).

    Raises:
        PotvitError: unknown unit, or a tool that is missing or fails.
    """
    tool_version()
    design = generate(config)
    parts = plan(read_modules(design.verilog), unit)
    box = memory_box(design.verilog)
    source = design.verilog[design.verilog.index(f"module {MODULE}") :]
    sizes = sorted({m for part in parts for m in part.memories}, key=lambda m: (m.width, m.depth))
    logic = in_parallel(lambda part: _unit(part, box), parts, jobs=jobs, label=config.name)
    blocks = in_parallel(lambda m: _memory(m, source), sizes, jobs=jobs, label="memories")
    by_size = dict(zip(sizes, blocks, strict=True))
    rows: dict[str, dict[str, Any]] = {}
    for part, found in zip(parts, logic, strict=True):
        row = rows.setdefault(
            part.name,
            {"name": part.name, "part": PARTS[part.name], "instances": 0} | dict.fromkeys(KINDS, 0),
        )
        row["instances"] += part.instances
        for piece in [found, *(by_size[m] for m in part.memories)]:
            for kind in KINDS:
                row[kind] += part.instances * piece[kind]
    totals = {kind: sum(row[kind] for row in rows.values()) for kind in KINDS}
    return {
        "config": config.name,
        "target": "xcup",
        "unit": unit,
        "macs": config.macs,
        "multiplier": str(config.multiplier),
        "units": list(rows.values()),
        "totals": totals,
        **_dsp_per_mac(config, totals["DSP"] if unit is None else None),
        "sram_bits": sum(m.bits * count for _, m, count in memory_table(parts)),
        "fmax_mhz": None,
        "verilog_sha256": design.description["sha256"],
        "tools": {PACKAGE: tool_version()},
    }


def _dsp_per_mac(config: Config, dsp: float | None) -> dict[str, float | None]:
    """All DSPs of a whole configuration per product of 8x8, 8x4 and 4x4 bits in a cycle."""
    names = {
        "dsp_per_mac": MacMode.W8, "dsp_per_w4_mac": MacMode.W4, "dsp_per_w4a4_mac": MacMode.W4A4,
    }  # fmt: skip
    return {
        name: round(dsp / (mode.products * config.macs), 4)
        if dsp is not None and config.precision.has(mode)
        else None
        for name, mode in names.items()
    }


def xcup_markdown(report: dict[str, Any]) -> str:
    """The report for people."""
    rows = [
        [f"`{row['name']}`", str(row["instances"]), *(f"{row[kind]:,g}" for kind in KINDS)]
        for row in report["units"]
    ]
    totals = [f"**{report['totals'][kind]:,g}**" for kind in KINDS]
    per_mac = "".join(
        f"**{report[key]:.3f} DSP per {bits} MAC** (`multiplier={report['multiplier']}`).\n\n"
        for key, bits in (
            ("dsp_per_mac", "8x8"),
            ("dsp_per_w4_mac", "8x4"),
            ("dsp_per_w4a4_mac", "4x4"),
        )
        if report[key] is not None
    )
    return (
        f"# UltraScale+ resources of `{report['config']}`\n\n"
        f"{report['macs']} MACs; Yosys {report['tools'][PACKAGE]}, `synth_xilinx -family xcup "
        "-uram`, unit by unit, not placed (no timing).\n\n"
        + per_mac
        + markdown_table(["unit", "instances", *KINDS], [*rows, ["**all**", "", *totals]])
    )
