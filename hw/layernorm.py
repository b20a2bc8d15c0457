"""NORM unit: integer LayerNorm of residual tokens into the activation buffer."""

from typing import Any

from amaranth.hdl import Module, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.config import Config
from hw.isa import Op, payload_layout
from hw.ports import ReadPort, ReadRequest, addr_data, write_stream
from hw.stat_layout import stat_layout

STALLS = data.StructLayout({"no_instr": 1, "root": 1, "res_read": 1, "act_write": 1})


def norm_channel_layout() -> data.StructLayout:
    """LayerNorm parameters of one channel, 64 bits."""
    return data.StructLayout({"gamma": signed(16), "alpha": 8, "zero": 8, "beta": signed(32)})


class NormUnit(wiring.Component):
    """Executes NORM instructions."""

    def __init__(self, config: Config) -> None:
        self.config = config
        bits = config.addr_bits
        act = addr_data(bits["act"], config.lanes, bank=range(config.rows), half=1)
        params = data.ArrayLayout(norm_channel_layout(), config.lanes)
        super().__init__(
            {
                "instr": In(stream.Signature(payload_layout(Op.NORM))),
                "done": Out(1),
                "busy": Out(1),
                "fault": Out(1),
                "stall": Out(STALLS),
                "res_read": Out(
                    ReadRequest(bits["residual"], data.ArrayLayout(signed(8), config.cols))
                ),
                "stat_read": Out(ReadPort(bits["token"], stat_layout(config))),
                "norm_read": Out(ReadPort(bits["norm"], params)),
                "act_write": Out(write_stream(act)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        return Module()
