"""LOAD unit: AXI4 reads into the on-chip memories, image patches included."""

from typing import Any

from amaranth.hdl import Module, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.axi import ADDR_BITS, AxiRead
from hw.config import Config
from hw.isa import PAYLOAD_BITS
from hw.ports import WritePort, addr_data, write_stream

STALLS = data.StructLayout({"no_instr": 1, "bus": 1, "const_room": 1, "write": 1})


def load_instr_layout() -> data.StructLayout:
    """``payload`` is that of PATCH if ``patch``, else that of LOAD."""
    return data.StructLayout({"patch": 1, "payload": PAYLOAD_BITS})


class LoadUnit(wiring.Component):
    """Executes LOAD and PATCH instructions."""

    def __init__(self, config: Config) -> None:
        self.config = config
        bits = config.addr_bits
        patch = addr_data(bits["act"], config.act_bytes, bank=range(config.rows))
        super().__init__(
            {
                "instr": In(stream.Signature(load_instr_layout())),
                "done": Out(1),
                "busy": Out(1),
                "fault": Out(1),
                "window_fault": Out(1),
                "bus_fault": Out(1),
                "stall": Out(STALLS),
                "stop": In(1),
                "quiet": Out(1),
                "beat": Out(1),
                "base": In(ADDR_BITS),
                "limit": In(32),
                "axi": Out(AxiRead(config.axi_bytes)),
                "stream_write": Out(
                    write_stream(addr_data(bits["stream"], config.stream_bytes))
                ),
                "norm_write": Out(write_stream(addr_data(bits["norm"], config.norm_bytes))),
                "gelu_write": Out(WritePort(data.StructLayout({"index": 8, "byte": 8}))),
                "const": Out(stream.Signature(data.ArrayLayout(signed(16), config.cols))),
                "const_room": In(range(config.const_rows + 1)),
                "patch_write": Out(write_stream(patch)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        return Module()
