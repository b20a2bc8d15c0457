"""ARRAY unit: PE array, MATMUL controller and drain pipeline (docs/architecture.md)."""

from __future__ import annotations

from amaranth import Module, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hw.config import Config
from hw.isa import Op, payload_layout
from hw.ports import ReadPort, WritePort, addr_data
from hw.token_statistics import statistics_layout

STALL = data.StructLayout({"no_instr": 1, "const": 1, "pace": 1, "params": 1})


class ArrayUnit(wiring.Component):
    """Runs MATMUL instructions; see docs/architecture.md.

    Members: ``instr``, ``done``, ``busy``, ``fault``; ``stall`` one-hot in a cycle without a
    chunk; ``macs`` useful products of a cycle; read ports ``a_read`` ([row][2K]), ``w_read``
    ([column][K], also parameters), ``res_read``, ``stat_read``; write ports of every destination;
    ``const`` with ``const_level`` rows available; ``gelu_load`` fills all table copies.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        bits, cols, rows = config.addr_bits, config.cols, config.rows
        row_bits = bits_for(rows - 1)
        statistics = statistics_layout(config)
        super().__init__(
            {
                "instr": In(stream.Signature(payload_layout(Op.MATMUL))),
                "done": Out(1),
                "busy": Out(1),
                "fault": Out(1),
                "stall": Out(STALL),
                "macs": Out(unsigned(bits_for(2 * config.macs))),
                "a_read": Out(
                    ReadPort(bits["act"], data.ArrayLayout(signed(8), rows * config.act_bytes))
                ),
                "w_read": Out(ReadPort(bits["stream"], data.ArrayLayout(8, config.stream_bytes))),
                "act_write": Out(WritePort(addr_data(bits["act"], cols, bank=row_bits, half=1))),
                "key_write": Out(
                    WritePort(addr_data(bits["stream"], cols, lane=bits_for(cols - 1)))
                ),
                "value_write": Out(
                    WritePort(
                        addr_data(bits["value"], cols, part=bits_for(config.head_lanes // cols - 1))
                    )
                ),
                "logit_write": Out(WritePort(addr_data(bits["logit"], cols, bank=row_bits))),
                "max_write": Out(
                    WritePort(
                        data.StructLayout(
                            {"addr": bits["slot"], "data": data.ArrayLayout(signed(8), rows)}
                        )
                    )
                ),
                "res_read": Out(ReadPort(bits["residual"], data.ArrayLayout(signed(8), cols))),
                "res_write": Out(WritePort(addr_data(bits["residual"], cols))),
                "stat_read": Out(ReadPort(bits["token"], statistics)),
                "stat_write": Out(
                    WritePort(data.StructLayout({"addr": bits["token"], **statistics.members}))
                ),
                "out_write": Out(
                    WritePort(
                        data.StructLayout(
                            {"addr": bits["out"], "data": data.ArrayLayout(signed(32), cols)}
                        )
                    )
                ),
                "const": In(stream.Signature(data.ArrayLayout(signed(16), cols))),
                "const_level": In(range(config.const_rows + 1)),
                "gelu_load": In(WritePort(data.StructLayout({"index": 8, "byte": 8}))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        return Module()
