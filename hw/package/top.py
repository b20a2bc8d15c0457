"""The top of the package: the accelerator with the names and the reset of AXI."""

from __future__ import annotations

from hw.package.bus_pins import CLOCK, INTERRUPT, RESET, Pin, interfaces

#: What is appended to the accelerator's name.
SUFFIX = "_axi"


def top_verilog(name: str, pins: tuple[Pin, ...]) -> str:
    """Verilog of module ``name`` + `SUFFIX` around module ``name``.

    The active-low reset may come at any time; its release is brought to the clock by two registers.
    Attributes name the interfaces for tools that infer them.
    """
    buses = interfaces(pins)
    associated = ":".join(bus.name for bus in buses)
    attributes = {
        CLOCK: _attributes(
            "xilinx.com:signal:clock:1.0 aclk CLK",
            f"ASSOCIATED_BUSIF {associated}, ASSOCIATED_RESET {RESET}",
        ),
        RESET: _attributes("xilinx.com:signal:reset:1.0 aresetn RST", "POLARITY ACTIVE_LOW"),
        INTERRUPT: _attributes(
            "xilinx.com:signal:interrupt:1.0 irq INTERRUPT", "SENSITIVITY LEVEL_HIGH"
        ),
    }
    for bus in buses:
        for pin in bus.pins:
            info = f"xilinx.com:interface:aximm:1.0 {bus.name} {bus.logical(pin)}"
            attributes[pin.name] = _attributes(info)
    ports = ",\n".join(
        f"{attributes.get(pin.name, '')}    {pin.direction} wire {_span(pin)}{pin.name}"
        for pin in pins
    )
    inner = {CLOCK: "clk", RESET: "rst"}
    outer = {RESET: "reset[1]"}
    connections = ",\n".join(
        f"        .{inner.get(pin.name, pin.name)}({outer.get(pin.name, pin.name)})" for pin in pins
    )
    return f"""// {name} with AXI's names of clock and reset; generated, not to be edited.
module {name}{SUFFIX} (
{ports}
);
    // Asserted at once, released two rising edges after {RESET}.
    (* ASYNC_REG = "TRUE" *) reg [1:0] reset = 2'b11;
    always @(posedge {CLOCK} or negedge {RESET})
        if (!{RESET}) reset <= 2'b11;
        else reset <= {{reset[0], 1'b0}};

    {name} accelerator (
{connections}
    );
endmodule
"""


def _attributes(info: str, parameter: str = "") -> str:
    lines = f'    (* X_INTERFACE_INFO = "{info}" *)\n'
    return lines + (f'    (* X_INTERFACE_PARAMETER = "{parameter}" *)\n' if parameter else "")


def _span(pin: Pin) -> str:
    return f"[{pin.width - 1}:0] " if pin.width > 1 else ""
