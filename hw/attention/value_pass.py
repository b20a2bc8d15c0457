"""Third pass of attention: a row group's codes and values, word by word of the head, as keys go."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.ops.shift_attention import ShiftAttention
from hw.attention.shifter_array import ShifterArray
from hw.config import CODE_BITS, Config
from hw.isa.instruction import Op
from hw.isa.layouts import payload_layout
from hw.lib.ports import ReadPort, addr_data, write_stream


class ValuePass(wiring.Component):
    """Walks a row group: for each of ``d_words`` words of the head over all keys, P a cycle.

    ```
    sweep, keys ─► code_read, value_read ─► ShifterArray ─► act_write
    ```
    A sweep takes ``ceil(keys / P)`` cycles and one more between sweeps, and offers one word of ACT
    in every bank 3 cycles after its last keys are read; while that waits, the next sweep waits
    with its first keys read.

    Members
    -------
    start, instr : In, while not ``busy``: the instruction whose codes are complete; it need not
        stay. The first keys are read in the next cycle.
    busy : Out(1), keys are left to be read. last_read : Out(1), the last of them are. pending :
        Out(1), busy or a result has not been taken.
    hold : In(1), keep the last result back. finish : Out(1), it is taken.
    code_read : Out(ReadPort), word of P keys' codes. value_read : Out(ReadPort), the value buffer.
    act_write : Out(write_stream), a word in all banks.
    """

    def __init__(self, config: Config) -> None:
        self.config = c = config
        bits = c.addr_bits
        codes = data.ArrayLayout(CODE_BITS, c.rows * c.keys_per_cycle)
        super().__init__(
            {
                "start": In(1),
                "instr": In(payload_layout(Op.ATTEND)),
                "busy": Out(1),
                "pending": Out(1),
                "last_read": Out(1),
                "hold": In(1),
                "finish": Out(1),
                "code_read": Out(ReadPort(bits["code"], codes)),
                "value_read": Out(
                    ReadPort(bits["value"], data.ArrayLayout(signed(8), c.head_lanes))
                ),
                "act_write": Out(write_stream(addr_data(bits["act"], c.rows * c.act_bytes))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        c, keys = self.config, self.config.keys_per_cycle
        m.submodules.shifters = shifters = ShifterArray(
            ShiftAttention(), rows=c.rows, keys=keys, lanes=c.act_bytes
        )
        result_layout = data.StructLayout(
            {"addr": len(self.act_write.p.addr), "shift": 6, "final": 1}
        )

        # Stage A reads. Its word of the head and the keys that are left move with every read.
        group = Signal(payload_layout(Op.ATTEND), reset_less=True)
        left = Signal.like(self.instr.keys, reset_less=True)
        word = Signal.like(self.instr.d_words, reset_less=True)
        at = Signal.like(self.value_read.addr, reset_less=True)
        index = Signal.like(self.code_read.addr, reset_less=True)
        fresh, read, stall = Signal(), Signal(), Signal()
        last, final = Signal(), Signal()
        m.d.comb += [
            read.eq(self.busy & ~stall),
            last.eq(left <= keys),
            final.eq(word == group.d_words - 1),
            self.last_read.eq(read & last & final),
            self.code_read.en.eq(read),
            self.code_read.addr.eq(index),
        ]
        with m.If(read):
            m.d.sync += [
                left.eq(left - keys), at.eq(at + keys), index.eq(index + 1), fresh.eq(last),
            ]  # fmt: skip
            with m.If(last):
                m.d.sync += [
                    left.eq(group.keys), at.eq(group.v_addr + word + 1), index.eq(0),
                    word.eq(word + 1),
                ]  # fmt: skip
        m.d.sync += self.busy.eq((self.busy & ~self.last_read) | self.start)
        with m.If(self.start):
            m.d.sync += [
                group.eq(self.instr), left.eq(self.instr.keys), at.eq(self.instr.v_addr),
                index.eq(0), word.eq(0), fresh.eq(1),
            ]  # fmt: skip

        # Stage B: codes and values are there. They enter the array unless they are a sweep's first
        # and the result before is still in it.
        read_at = Signal.like(at, reset_less=True)
        entered = Signal(data.StructLayout({"any": 1, "first": 1, "last": 1}))
        real = Signal(keys, reset_less=True)  # keys of the group, in its last word not all
        half, target = Signal(reset_less=True), Signal(result_layout, reset_less=True)
        with m.If(~stall):
            m.d.sync += [
                entered.any.eq(read), entered.first.eq(fresh), entered.last.eq(last),
                read_at.eq(at), real.eq(Cat(left > key for key in range(keys))),
                half.eq(group.half), target.addr.eq(group.d_addr + word),
                target.shift.eq(group.shift), target.final.eq(final),
            ]  # fmt: skip
        m.d.comb += [
            # Others read values too, so what waits is read again.
            self.value_read.en.eq(read | stall),
            self.value_read.addr.eq(Mux(stall, read_at, at)),
            shifters.valid.eq(entered.any & ~stall),
            shifters.first.eq(entered.first),
            shifters.real.eq(real),
            shifters.half.eq(half),
            shifters.codes.eq(self.code_read.data),
            shifters.values.eq(self.value_read.data),
        ]

        # Stage C adds, stage D has the result.
        adding, ready, taken = Signal(), Signal(), Signal()
        result = Signal(result_layout, reset_less=True)
        m.d.comb += [
            self.act_write.valid.eq(ready & ~(result.final & self.hold)),
            self.act_write.p.addr.eq(result.addr),
            self.act_write.p.data.eq(shifters.words),
            shifters.shift.eq(result.shift),
            taken.eq(self.act_write.valid & self.act_write.ready),
            self.finish.eq(taken & result.final),
            self.pending.eq(self.busy | entered.any | adding | ready),
            stall.eq(entered.any & entered.first & (adding | (ready & ~taken))),
        ]
        complete = entered.any & entered.last & ~stall
        m.d.sync += [adding.eq(complete), ready.eq((ready & ~taken) | adding)]
        with m.If(complete):
            m.d.sync += result.eq(target)
        return m
