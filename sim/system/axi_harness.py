"""The accelerator alone on its buses, for models of hosts and memories that cocotb drives.

Such models sample and drive at a clock's edge. Verilator calls back when the registers behind that
edge have changed already, so the models get a clock of their own, ``bus_clk``, which rises a little
earlier, and what they drive passes a register: both sides then see the values before the edge.
"""

from __future__ import annotations

from functools import cache

from hw.config import Config
from hw.lib.convert import to_verilog
from hw.rules.port_rules import PortRules
from sim.simulator.generated import generated
from sim.simulator.verilate import Simulator, verilate

TOPLEVEL = "potvit_on_axi"
RULES = "potvit_port_rules"

#: Slaves by what AWREADY and WREADY wait for, each allowed by AXI4; the value of ``order``.
ORDERS = ("free", "address", "together", "data")

# What the memory sees and answers passes these gates: signal and the condition of both sides.
_GATES = {
    "aw": "(order != 2 || d_m_axi_wvalid) && (order != 3 || ahead < 0)",
    "w": "(order != 1 && order != 2) || ahead > 0",
}


@cache
def rules(config: Config) -> PortRules:
    """The rules that watch the buses of ``config``: their names by number."""
    return PortRules(config)


def axi_system(config: Config) -> Simulator:
    """The compiled model of ``config`` on its own buses, watched by `PortRules`, cached."""
    design = generated(config)
    ports = [(p["name"], p["width"], p["direction"]) for p in design.description["ports"]]
    watch = PortRules(config)
    text, names = _top(design.description["name"], ports, watch)
    sources = [
        ("potvit.v", design.verilog),
        ("rules.v", to_verilog(watch, RULES)),
        ("potvit_on_axi.v", text),
    ]
    return verilate(sources, TOPLEVEL, names)


def _top(design: str, ports: list[tuple[str, int, str]], watch: PortRules) -> tuple[str, list[str]]:
    """The top module, and what of it cocotb sees."""
    names = ["bus_clk", "clk", "rst", "irq", "order", "broken", "seen"]
    outer = ["    input wire rst", "    output wire irq", "    input wire [1:0] order",
             f"    output wire [{len(watch.rules) - 1}:0] broken",
             f"    output wire [{len(watch.covers) - 1}:0] seen"]  # fmt: skip
    body, inner = [], [".clk(clk)", ".rst(rst)", ".irq(irq)"]
    pins = [".clk(clk)", ".rst(rst)", ".broken(broken)", ".seen(seen)"]
    for name, width, direction in ports:
        if not name.startswith(("m_axi_", "s_axil_")):
            continue
        # One bit is no vector: the models wait for its edges.
        span, gate = f"[{width - 1}:0] " if width > 1 else "", _gate(name)
        names.append(name)
        outer.append(f"    {direction} wire {span}{name}")
        inner.append(f".{name}(d_{name})")
        if name in watch.signature.members:
            pins.append(f".{name}(d_{name})")
        body.append(f"    wire {span}d_{name};")
        if direction == "output":
            body.append(f"    assign {name} = d_{name}{gate};")
        else:
            body += [f"    reg {span}q_{name};", f"    always @(posedge clk) q_{name} <= {name};",
                     f"    assign d_{name} = q_{name}{gate};"]  # fmt: skip
    joined = ",\n"
    text = f"""module {TOPLEVEL} (
{joined.join(outer)}
);
    reg clk, bus_clk;
    initial {{clk, bus_clk}} = 0;
    always begin
        #1 bus_clk = 1;
        #1 clk = 1;
        #1 bus_clk = 0;
        #1 clk = 0;
    end
    wire {", ".join(f"open_{channel}" for channel in _GATES)};
{chr(10).join(body)}
    // Bursts whose address was taken, less those whose data were.
    reg signed [7:0] ahead;
{chr(10).join(f"    assign open_{channel} = {term};" for channel, term in _GATES.items())}
    always @(posedge clk)
        if (rst) ahead <= 0;
        else ahead <= ahead + (d_m_axi_awvalid && d_m_axi_awready)
                    - (d_m_axi_wvalid && d_m_axi_wready && d_m_axi_wlast);
    {design} accelerator ({", ".join(inner)});
    {RULES} rules ({", ".join(pins)});
endmodule
"""
    return text, names


def _gate(name: str) -> str:
    """The term that closes both sides of a channel."""
    for channel in _GATES:
        if name in (f"m_axi_{channel}valid", f"m_axi_{channel}ready"):
            return f" & open_{channel}"
    return ""
