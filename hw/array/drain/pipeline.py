"""Drain pipeline: one row of accumulators a cycle through bias, alignment, rounding and GELU."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from golden.ops.gelu import Gelu
from golden.ops.residual import ResidualAdd
from golden.ops.softmax import MASKED
from hw.array.drain.channel_params import channel_layout
from hw.array.drain.row_max import RowMax
from hw.array.drain.rows import row_layout
from hw.array.drain.token_statistics import TokenStatistics
from hw.array.mac.operand_sums import ROW_UNIT, row_sum_bits
from hw.array.mac.pe import accumulator_bits
from hw.config import Config
from hw.formats.statistics import stat_layout
from hw.isa.instruction import Mem
from hw.isa.latencies import DRAIN
from hw.lib.ports import ReadPort, WritePort


def drain_ports(config: Config) -> dict[str, Any]:
    """Ports of the ARRAY unit that the drain pipeline drives or reads directly."""
    bits, cols = config.addr_bits, config.cols
    statistics = stat_layout(config)
    maxima = data.ArrayLayout(signed(8), config.rows)
    words = data.ArrayLayout(signed(32), cols)
    return {
        "max_write": Out(WritePort(data.StructLayout({"addr": bits["slot"], "data": maxima}))),
        "res_read": Out(ReadPort(bits["residual"], data.ArrayLayout(signed(8), cols))),
        "stat_read": Out(ReadPort(bits["token"], statistics)),
        "stat_write": Out(
            WritePort(data.StructLayout({"addr": bits["token"], **statistics.members}))
        ),
        "out_write": Out(WritePort(data.StructLayout({"addr": bits["out"], "data": words}))),
        "const": In(stream.Signature(data.ArrayLayout(signed(16), cols))),
        "gelu_load": In(WritePort(data.StructLayout({"index": 8, "byte": 8}))),
    }


class Drain(wiring.Component):
    """Turns a row of dot products into what its destination holds; nothing in it stalls.

    ::

        cycle 0   row - sums + bias ─►   old residual's address out
        cycle 1   << la ─ + ─►           old residual or position constant in, << lo
        cycle 2   round, saturate ─►     (OUT: aligned accumulator written)
        cycle 3   mask, GELU look-up ─►  squares, maximum
        cycle 4   written to memory      sums, running maxima
        cycle 5   statistics and maxima written
        cycle 6   ``done``, `DRAIN` cycles from the row

    Members: `drain_ports` (``const`` must be valid when it is taken); ``row``, ``accs`` and
    ``row_sum`` of cycle 0; ``channels`` of `ChannelParams`; ``out`` the row of cycle 4 with its
    ``bytes``; ``done``.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        cols = config.cols
        accs = data.ArrayLayout(accumulator_bits(config.lanes), cols)
        super().__init__(
            drain_ports(config)
            | {
                "row": In(row_layout(config)),
                "accs": In(accs),
                "row_sum": In(signed(row_sum_bits(config.lanes))),
                "channels": In(data.ArrayLayout(channel_layout(), cols)),
                "out": Out(row_layout(config)),
                "bytes": Out(data.ArrayLayout(8, cols)),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        rows = [self.row]
        for i in range(1, DRAIN - 1):
            stage = Signal(row_layout(self.config), name=f"row{i}")
            m.d.sync += stage.eq(rows[-1])
            rows.append(stage)
        start, align, rounding, lookup, write = rows
        q = self._add(m, start, align, rounding, lookup)
        self._measure(m, rounding, lookup, q)

        # Cycles 3 and 4: GELU, write.
        m.submodules.gelu = gelu = Gelu.create(columns=self.config.cols)
        connect(m, flipped(self.gelu_load), gelu.load)
        plain = Signal.like(q, reset_less=True)
        last = Signal()
        m.d.sync += [plain.eq(q), last.eq(write.last), self.done.eq(last)]
        m.d.comb += [
            gelu.en.eq(lookup.real & lookup.gelu),
            gelu.x.eq(q),
            self.out.eq(write),
            self.bytes.eq(Mux(write.gelu, gelu.y, plain)),
        ]
        return m

    def _add(self, m: Module, start: Any, align: Any, rounding: Any, lookup: Any) -> Any:
        """Cycles 0 to 2, bias, residual adder (the requantizer where nothing is added): q."""
        residual = align.dest == Mem.RESIDUAL
        from_const, marked = Signal(), Signal(self.config.cols)
        m.d.comb += [
            self.res_read.en.eq(start.real & (start.dest == Mem.RESIDUAL) & ~start.const_old),
            self.res_read.addr.eq(start.addr),
            from_const.eq((residual | (align.dest == Mem.LOGIT)) & align.const_old),
            self.const.ready.eq(align.real & from_const),
            self.out_write.en.eq(rounding.real & (rounding.dest == Mem.OUT)),
            self.out_write.payload.addr.eq(rounding.addr),
        ]
        q = Signal(data.ArrayLayout(signed(8), self.config.cols))
        for c in range(self.config.cols):
            m.submodules[f"adder_{c}"] = adder = ResidualAdd().create()
            channel = self.channels[c]
            acc = Signal(signed(32), name=f"acc_{c}", reset_less=True)
            old = Signal(signed(16), name=f"old_{c}")
            m.d.sync += acc.eq(self.accs[c] - self.row_sum * ROW_UNIT + channel.bias)
            with m.If(from_const):
                m.d.comb += old.eq(self.const.payload[c])
            with m.Elif(residual):
                m.d.comb += old.eq(self.res_read.data[c])
            m.d.comb += [
                adder.acc.eq(acc),
                adder.old.eq(old),
                adder.la.eq(Mux(residual | (align.dest == Mem.OUT), channel.la, 0)),
                adder.lo.eq(channel.lo),
                adder.shift.eq(channel.shift),
                self.out_write.payload.data[c].eq(adder.sum),
                q[c].eq(adder.y),
                marked[c].eq(self.const.payload[c][-1] ^ self.const.payload[c][-2]),
            ]
        return self._mask(m, lookup, marked, q)

    def _mask(self, m: Module, lookup: Any, marked: Signal, q: Any) -> Any:
        """Cycle 3, masked logits: -128 where the constant was `MASK`, all others above it.

        ``marked``: columns with such a constant, of cycle 1. Other rows pass as they are.
        """
        hidden = [Signal.like(marked, name=f"hidden{n}", reset_less=True) for n in range(2)]
        m.d.sync += [hidden[0].eq(marked), hidden[1].eq(hidden[0])]
        out = Signal.like(q)
        for c in range(self.config.cols):
            m.d.comb += out[c].eq(q[c])
            with m.If(lookup.masked & hidden[1][c]):
                m.d.comb += out[c].eq(MASKED)
            with m.Elif(lookup.masked & (q[c] == MASKED)):
                m.d.comb += out[c].eq(MASKED + 1)
        return out

    def _measure(self, m: Module, rounding: Any, lookup: Any, q: Any) -> None:
        """From cycle 3 on: statistics of tokens and maxima of rows."""
        cols = range(self.config.cols)
        m.submodules.statistics = statistics = TokenStatistics(self.config)
        m.submodules.row_max = row_max = RowMax(self.config)
        connect(m, statistics.read, flipped(self.stat_read))
        connect(m, statistics.write, flipped(self.stat_write))
        connect(m, row_max.write, flipped(self.max_write))
        real_columns = Signal(self.config.cols)  # of `lookup`
        m.d.sync += real_columns.eq(Cat(rounding.real & (c < rounding.cols) for c in cols))
        m.d.comb += [
            statistics.row.valid.eq(lookup.real & (lookup.dest == Mem.RESIDUAL)),
            statistics.row.restart.eq(lookup.restart_stats),
            statistics.row.token.eq(lookup.token),
            statistics.q.eq(q),
            row_max.row.valid.eq(lookup.valid & (lookup.dest == Mem.LOGIT)),
            row_max.row.columns.eq(real_columns),
            row_max.row.restart.eq(lookup.restart),
            row_max.row.flush.eq(lookup.flush),
            row_max.row.slot.eq(lookup.slot),
            row_max.q.eq(q),
        ]
        m.d.comb += [statistics.alpha[c].eq(self.channels[c].alpha) for c in cols]
