"""The only memory of the design: ``potvit_mem_1r1w``, one read and one write port."""

from pathlib import Path
from typing import Any

from amaranth.hdl import ClockSignal, Instance, Module
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In

MODULE = "potvit_mem_1r1w"

#: The file with the Verilog of `MODULE`; whoever needs its text reads `memory_verilog`.
MEMORY_SOURCE = Path(__file__).with_name("potvit_mem.v")


def memory_verilog() -> str:
    """Verilog of `MODULE`, for simulation and as what a memory compiler's macro replaces."""
    return MEMORY_SOURCE.read_text(encoding="utf-8")


class VerilogTarget:
    """Amaranth platform that says: instantiate `MODULE`, which `memory_verilog` supplies.

    Without it (Amaranth's own simulator) a memory of the same contract stands in.
    """


class Memory(wiring.Component):
    """``depth`` words of ``width`` bits; attributes ``width``, ``depth``, ``addr_bits``.

    ``rd_data`` shows the word of ``rd_addr`` the cycle after ``rd_en`` and holds it. Reading an
    address in the cycle it is written gives an undefined word. Contents start undefined.
    """

    def __init__(self, width: int, depth: int) -> None:
        self.width = width
        self.depth = depth
        self.addr_bits = max(1, (depth - 1).bit_length())
        super().__init__(
            {
                "rd_en": In(1),
                "rd_addr": In(self.addr_bits),
                "rd_data": wiring.Out(width),
                "wr_en": In(1),
                "wr_addr": In(self.addr_bits),
                "wr_data": In(width),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        if isinstance(platform, VerilogTarget):
            m.submodules.mem = Instance(
                MODULE,
                ("p", "WIDTH", self.width),
                ("p", "DEPTH", self.depth),
                ("i", "clk", ClockSignal()),
                *(
                    ("o" if name == "rd_data" else "i", name, getattr(self, name))
                    for name in self.signature.members
                ),
            )
            return m
        m.submodules.mem = mem = memory.Memory(shape=self.width, depth=self.depth, init=[])
        read, write = mem.read_port(), mem.write_port()
        m.d.comb += [
            read.en.eq(self.rd_en),
            read.addr.eq(self.rd_addr),
            self.rd_data.eq(read.data),
            write.en.eq(self.wr_en),
            write.addr.eq(self.wr_addr),
            write.data.eq(self.wr_data),
        ]
        return m
