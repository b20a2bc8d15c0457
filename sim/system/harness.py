"""The simulated system: the accelerator, its clock and a DRAM, as one Verilog top for cocotb."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from golden.support.errors import PotvitError
from hw.bus.axi import CONSTANTS
from hw.config import Config
from sim.simulator import icarus
from sim.simulator.generated import generated
from sim.simulator.verilate import Simulator, verilate
from sim.system.trace import monitor

DRAM_SOURCE = Path(__file__).with_name("potvit_dram.sv")
#: Least size of the DRAM.
DRAM_BYTES = 64 << 20
TOPLEVEL = "potvit_system"

#: Verilator has two states and is fast; Icarus has four, and nothing in it starts defined.
SIMULATORS = ("verilator", "icarus")

#: What waves show: of the whole system all but what is inside units and memories (the signals
#: between them are the core's own), or everything.
WAVES = {"ports": f"{TOPLEVEL}.accelerator.core.*", "all": ""}

# Ports of the system beside the accelerator's own AXI4-Lite port and interrupt: name, width.
_CONTROLS = (
    ("rst", 1), ("stall_rate", 8), ("stall_seed", 32), ("fault", 2), ("fault_addr", 40),
    ("fence_first", 40), ("fence_last", 40),
    ("load", 1), ("dump", 1), ("first", 32), ("count", 32),
)  # fmt: skip

# The DRAM answers in order and knows neither IDs nor kinds of memory.
_UNUSED = (
    "m_axi_arid", "m_axi_rid", "m_axi_awid", "m_axi_bid",
    *(f"m_axi_{channel}{name}" for channel in ("ar", "aw") for name in CONSTANTS),
)  # fmt: skip


def dram_bytes(needed: int) -> int:
    """Size of the DRAM for programs that need so many bytes: few sizes, as each is a model."""
    return max(DRAM_BYTES, 1 << (needed - 1).bit_length())


def system(
    config: Config,
    *,
    waves: str | None = None,
    memory_bytes: int = DRAM_BYTES,
    accelerator: tuple[str, list[tuple[str, str]]] | None = None,
    simulator: str = "verilator",
) -> Simulator:
    """The compiled model of ``config`` with its DRAM, cached by content.

    ``accelerator`` is a module of the same ports to put in the accelerator's place, and its sources
    (name and text of each file). ``waves``: see `WAVES`; ``simulator``: one of `SIMULATORS`. Raises
    ``PotvitError`` for waves of a simulator that writes none here, and for a tool that is missing.
    """
    design = generated(config)
    ports = [(p["name"], p["width"], p["direction"]) for p in design.description["ports"]]
    name, files = accelerator or (design.description["name"], [("potvit.v", design.verilog)])
    sources = [
        *files,
        ("potvit_dram.sv", DRAM_SOURCE.read_text()),
        ("potvit_system.sv", _top(config, name, ports, memory_bytes)),
    ]
    if simulator == "icarus":
        if waves:
            raise PotvitError("waves are written by Verilator: leave SIMULATOR=icarus out")
        bare = [(file, icarus.without_initial_values(text)) for file, text in files]
        return icarus.elaborate([*bare, *sources[len(files) :]], TOPLEVEL)
    host = [name for name, _, _ in ports if name.startswith("s_axil_")]
    visible = ["clk", "irq", "violation", *(n for n, _ in _CONTROLS), *host]
    hidden = WAVES[waves] if waves else ""
    return verilate(sources, TOPLEVEL, visible, waves=bool(waves), hidden=hidden)


def _top(
    config: Config, design: str, ports: Iterable[tuple[str, int, str]], memory_bytes: int
) -> str:
    outer, wires, inner, memory = [], [], [], []
    for name, width, direction in ports:
        span = f"[{width - 1}:0]"
        if name.startswith("s_axil_") or name == "irq":
            outer.append(f"    {direction} wire {span} {name}")
        elif name not in ("clk", "rst"):
            wires.append(f"    wire {span} {name};")
            if name.startswith("m_axi_") and name not in _UNUSED:
                memory.append(f"        .{name.removeprefix('m_axi_')}({name})")
        inner.append(f"        .{name}({name})")
    outer += [f"    input wire [{width - 1}:0] {name}" for name, width in _CONTROLS]
    outer.append("    output wire [7:0] violation")
    memory += [f"        .{name}({name})" for name in ("clk", "violation")]
    memory += [f"        .{name}({name})" for name, _ in _CONTROLS]
    sizes = f".BYTES({config.axi_bytes}), .ADDR({config.axi_addr_bits})"
    joined = ",\n"
    return f"""module {TOPLEVEL} (
{joined.join(outer)}
);
    reg clk;
    initial clk = 0;
    always #1 clk = ~clk;
{chr(10).join(wires)}
    {design} accelerator (
{joined.join(inner)}
    );
    potvit_dram #({sizes}, .WORDS({memory_bytes // config.axi_bytes})) dram (
{joined.join(memory)}
    );
{monitor()}endmodule
"""
