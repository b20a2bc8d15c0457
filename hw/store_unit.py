"""STORE unit: on-chip memories to DRAM over AXI4 writes."""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.axi import ADDR_BITS, AxiWrite
from hw.config import Config
from hw.isa import Op, payload_layout
from hw.ports import ReadRequest

STALLS = data.StructLayout({"no_instr": 1, "read": 1, "bus": 1})


class StoreUnit(wiring.Component):
    """Executes STORE instructions."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.word_bytes = {
            "act": config.rows * config.act_bytes,
            "stream": config.stream_bytes,
            "value": config.head_lanes,
            "logit": config.rows * config.cols,
            "residual": config.cols,
            "out": 4 * config.cols,
        }
        reads = {
            f"{name}_read": Out(ReadRequest(config.addr_bits[name], data.ArrayLayout(8, size)))
            for name, size in self.word_bytes.items()
        }
        super().__init__(
            {
                "instr": In(stream.Signature(payload_layout(Op.STORE))),
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
                "axi": Out(AxiWrite(config.axi_bytes)),
                **reads,
            }
        )

    def elaborate(self, platform: Any) -> Module:
        return Module()
