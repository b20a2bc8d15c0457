"""ARRAY unit: PE array, MATMUL controller and drain pipeline (docs/architecture.md)."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import bits_for

from golden.ops.psmac import MacMode
from hw.array.control.controller import MatmulControl
from hw.array.control.pace import STALL
from hw.array.drain.channel_params import ChannelParams
from hw.array.drain.pipeline import Drain, drain_ports
from hw.array.drain.rows import DrainSequencer
from hw.array.mac.pe_array import PEArray
from hw.config import Config
from hw.isa.instruction import Mem, Op
from hw.isa.layouts import payload_layout
from hw.lib.ports import NextPort, ReadPort, WritePort, addr_data
from hw.lib.unit_port import UnitPort
from hw.precision import NIBBLE_BITS


def next_ports(config: Config) -> dict[str, Any]:
    """What is read beside the operands for a chunk of 4x4 products."""
    acts = data.ArrayLayout(NIBBLE_BITS, config.rows * config.act_bytes)
    return {
        "a_next": Out(NextPort(acts)),
        "w_next": Out(NextPort(data.ArrayLayout(8, config.stream_bytes))),
    }


class ArrayUnit(wiring.Component):
    """Runs MATMUL instructions; see docs/architecture.md.

    Members: those of `UnitPort`, ``stall`` one-hot in a cycle without a chunk; ``macs`` useful
    products of a cycle; read ports ``a_read`` ([row][2K]), ``w_read`` ([column][K], also
    parameters), ``res_read``, ``stat_read``; write ports of every destination; ``const`` with
    ``const_level`` rows available; ``gelu_load`` fills all table copies. ``a_next`` and ``w_next``,
    where the configuration has 4x4 products, as of `ActivationBuffer` and `StreamBuffer`.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._narrow = config.precision.has(MacMode.W4A4)
        bits, cols, rows = config.addr_bits, config.cols, config.rows
        row_bits = bits_for(rows - 1)
        super().__init__(
            {
                **UnitPort(payload_layout(Op.MATMUL), STALL).members,
                "macs": Out(unsigned(bits_for(config.most_macs))),
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
                "res_write": Out(WritePort(addr_data(bits["residual"], cols))),
                "const_level": In(range(config.const_rows + 1)),
            }
            | drain_ports(config)
            | (next_ports(config) if self._narrow else {})
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        cfg = self.config
        m.submodules.control = control = MatmulControl(cfg)
        m.submodules.array = array = PEArray(cfg)
        m.submodules.params = params = ChannelParams(cfg)
        m.submodules.sequencer = sequencer = DrainSequencer(cfg)
        m.submodules.drain = drain = Drain(cfg)

        connect(m, flipped(self.instr), control.instr)
        m.d.comb += [
            self.a_read.en.eq(control.act_en),
            self.a_read.addr.eq(control.act_addr),
            self.w_read.en.eq(control.stream_en),
            self.w_read.addr.eq(control.stream_addr),
            self.stall.eq(control.stall),
            self.macs.eq(control.macs),
            control.const_level.eq(self.const_level),
            control.const_taken.eq(self.const.valid & self.const.ready),
            array.chunk.eq(control.chunk),
            array.a.eq(self.a_read.data),
            array.w.eq(self.w_read.data),
            params.word.eq(array.word),
            params.capture.eq(control.capture),
            params.index.eq(control.index),
            params.load.eq(array.load),
            params.column_sums.eq(array.column_sums),
            sequencer.load.eq(array.load),
            sequencer.tile.eq(control.tile),
            drain.row.eq(sequencer.row),
            drain.accs.eq(array.row),
            drain.row_sum.eq(array.row_sum),
            drain.channels.eq(params.channels),
        ]
        if self._narrow:
            m.d.comb += [
                self.a_next.en.eq(control.wide),
                self.w_next.en.eq(control.wide),
                array.x4.eq(control.x4),
                array.a_next.eq(self.a_next.data),
                array.w_next.eq(self.w_next.data),
            ]
        for name in drain_ports(cfg):
            connect(m, flipped(getattr(self, name)), getattr(drain, name))
        self._writes(m, drain)

        # Instructions taken and not yet done: a few drain while the next ones issue.
        open_ = Signal(4)
        take = self.instr.valid & self.instr.ready
        m.d.sync += open_.eq(open_ + take - drain.done)
        m.d.comb += [
            self.done.eq(drain.done),
            self.busy.eq(open_ != 0),
            self.fault.eq(control.fault | sequencer.fault),
        ]
        return m

    def _writes(self, m: Module, drain: Drain) -> None:
        """Distribute the finished row to its destination's port."""
        row = drain.out
        pairs = {
            Mem.ACT: (self.act_write, {"bank": row.number}),
            Mem.STREAM: (self.key_write, {"lane": row.lane}),
            Mem.VALUE: (self.value_write, {"part": row.part}),
            Mem.LOGIT: (self.logit_write, {"bank": row.number}),
            Mem.RESIDUAL: (self.res_write, {}),
        }
        for dest, (port, extra) in pairs.items():
            m.d.comb += [
                port.en.eq(row.real & (row.dest == dest)),
                port.payload.addr.eq(row.addr),
                port.payload.data.eq(drain.bytes),
            ]
            m.d.comb += [port.payload[name].eq(value) for name, value in extra.items()]
        if self.config.tile_act_granules == 2:
            m.d.comb += [
                self.act_write.payload.addr.eq(row.addr >> 1),
                self.act_write.payload.half.eq(row.addr[0]),
            ]
