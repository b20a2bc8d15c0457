"""Third pass of attention: a row group's codes and values, word by word of the head, as keys go."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.ops.psmac import MacMode
from golden.ops.shift_attention import ShiftAttention
from hw.attention.key_store import KeyRead
from hw.attention.shifter_array import ShifterArray
from hw.attention.sweep_walk import SweepWalk, sweep_step
from hw.config import CODE_BITS, Config
from hw.isa.instruction import Op
from hw.isa.layouts import payload_layout
from hw.lib.ports import ReadPort, addr_data, write_stream


class ValuePass(wiring.Component):
    """Sums the values of a row group's keys by their codes: ``d_words`` words of every row.

    ```
    i ─► SweepWalk ─► codes, value_read ─► ShifterArray ─► act_write
    ```
    A sweep over the keys takes ``ceil(keys / P)`` cycles and `SWEEP_GAP` more between sweeps, and
    offers one word of ACT in every bank ``READ + SHIFT_ADD`` cycles after its last keys are read;
    while that waits, the next sweep waits with its first keys read.

    Members
    -------
    i : In(stream), instructions whose codes are complete; taken when all keys of the one before
        have been read, so that the codes of a third can be made.
    pending : Out(1), keys are left to be read or a result has not been taken.
    hold : In(1), keep the last result back. finish : Out(1), it is taken.
    codes : Out(KeyRead), those of the coding pass.
    value_read : Out(ReadPort), the value buffer. act_write : Out(write_stream), in all banks.
    """

    def __init__(self, config: Config) -> None:
        self.config = c = config
        bits = c.addr_bits
        values = data.ArrayLayout(signed(8), c.head_lanes)
        super().__init__(
            {
                "i": In(stream.Signature(payload_layout(Op.ATTEND))),
                "pending": Out(1),
                "hold": In(1),
                "finish": Out(1),
                "codes": Out(KeyRead(c.rows, CODE_BITS, c.keys_per_cycle, c.code_words)),
                "value_read": Out(ReadPort(bits["value"], values)),
                "act_write": Out(write_stream(addr_data(bits["act"], c.rows * c.act_bytes))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        c = self.config
        m.submodules.walk = walk = SweepWalk(c)
        m.submodules.shifters = shifters = ShifterArray(
            ShiftAttention(), rows=c.rows, keys=c.keys_per_cycle, lanes=c.act_bytes,
            narrow=c.precision.has(MacMode.W4A4),
        )  # fmt: skip
        wiring.connect(m, wiring.flipped(self.i), walk.i)
        wiring.connect(m, walk.codes, wiring.flipped(self.codes))

        # Codes and values are there: they enter the array unless they are a sweep's first and the
        # result before is still in it.
        entered, step = Signal(), Signal(sweep_step(c), reset_less=True)
        read_at = Signal.like(walk.value_addr, reset_less=True)
        stall, occupied = Signal(), Signal()
        m.d.comb += [
            stall.eq(entered & step.first & occupied),
            walk.hold.eq(stall),
            # Others read values too, so what waits is read again.
            self.value_read.en.eq(walk.read | stall),
            self.value_read.addr.eq(Mux(stall, read_at, walk.value_addr)),
            shifters.valid.eq(entered & ~stall),
            shifters.first.eq(step.first),
            shifters.real.eq(step.real),
            shifters.half.eq(step.half),
            shifters.codes.eq(self.codes.read.data),
            shifters.values.eq(self.value_read.data),
        ]
        with m.If(~stall):
            m.d.sync += [entered.eq(walk.read), step.eq(walk.step), read_at.eq(walk.value_addr)]
        self._result(m, shifters, step, entered & step.last & ~stall, occupied)
        m.d.comb += self.pending.eq(walk.busy | entered | occupied | self.act_write.valid)
        return m

    def _result(
        self, m: Module, shifters: ShifterArray, step: data.View, complete: Any, occupied: Signal
    ) -> None:
        """The last keys of ``step`` are added in the cycle after ``complete``; offer the result.

        ``occupied`` : a result is in the array and does not leave it in this cycle.
        """
        adding, ready, taken = Signal(), Signal(), Signal()
        result = Signal.like(step, reset_less=True)
        m.d.comb += [
            self.act_write.valid.eq(ready & ~(result.final & self.hold)),
            self.act_write.p.addr.eq(result.addr),
            self.act_write.p.data.eq(shifters.words),
            shifters.shift.eq(result.shift),
            taken.eq(self.act_write.valid & self.act_write.ready),
            occupied.eq(adding | (ready & ~taken)),
            self.finish.eq(taken & result.final),
        ]
        if self.config.precision.has(MacMode.W4A4):
            m.d.comb += shifters.narrow.eq(result.narrow)
        m.d.sync += [adding.eq(complete), ready.eq((ready & ~taken) | adding)]
        with m.If(complete):
            m.d.sync += result.eq(step)
