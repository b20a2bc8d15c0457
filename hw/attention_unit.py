"""ATTN unit: log2 softmax of one row group and head, then attention x V on shifters."""

from __future__ import annotations

from amaranth import Module, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.config import Config
from hw.isa import Op, payload_layout
from hw.ports import ReadPort, ReadRequest, addr_data, write_stream

STALL = data.StructLayout({"no_instr": 1, "logit_read": 1, "act_write": 1, "code_write": 1})


class AttentionUnit(wiring.Component):
    """Executes ATTEND instructions."""

    def __init__(self, config: Config) -> None:
        self.config = c = config
        bits = c.addr_bits
        bytes_ = c.rows * c.cols
        logits = data.ArrayLayout(signed(8), bytes_)
        super().__init__(
            {
                "instr": In(stream.Signature(payload_layout(Op.ATTEND))),
                "done": Out(1),
                "busy": Out(1),
                "fault": Out(1),
                "stall": Out(STALL),
                "logit_sum_read": Out(ReadRequest(bits["logit"], logits)),
                "logit_code_read": Out(ReadRequest(bits["logit"], logits)),
                "max_read": Out(ReadPort(bits["slot"], data.ArrayLayout(signed(8), c.rows))),
                "value_read": Out(
                    ReadPort(bits["value"], data.ArrayLayout(signed(8), c.head_lanes))
                ),
                "code_write": Out(write_stream(addr_data(bits["logit"], bytes_))),
                "act_write": Out(write_stream(addr_data(bits["act"], c.rows * c.act_bytes))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        return Module()
