"""ATTN unit: log2 softmax of one row group and head, then attention x V on shifters."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from golden.ops.softmax import LUT_BITS, LogIntSoftmax
from hw.attention.code_writer import CodeWriter
from hw.attention.exponential import T_BITS
from hw.attention.key_store import KeyStore
from hw.attention.logit_feed import LogitFeed
from hw.attention.softmax import CODE_LATENCY, SUM_LATENCY, SoftmaxUnit
from hw.attention.value_pass import ValuePass
from hw.config import CODE_BITS, Config
from hw.isa.instruction import Op
from hw.isa.layouts import payload_layout
from hw.isa.limits import SHIFTS
from hw.lib.ports import ReadPort, ReadRequest, addr_data, write_stream

STALL = data.StructLayout({"no_instr": 1, "logit_read": 1, "act_write": 1, "code_write": 1})


class AttentionUnit(wiring.Component):
    """Executes ATTEND: `LogIntSoftmax` and `ShiftAttention` of R rows, all words of ACT at once.

    ```
    instr ─► summing pass: LogitFeed ─► distances ─► E ─► S
                                            └─► KeyStore
                coding pass:                       └─► E, S ─► codes ─► CodeWriter ─► code_write
                                                                 └─► KeyStore
                value pass:                                             └─► ValuePass ─► act_write
    ```
    The passes work on successive instructions, the first two at one key of R rows per cycle, the
    third at P keys of 2K channels (P = D/2K). Back to back and without waits an instruction of
    ``n`` keys and ``w`` words takes the larger of ``n + 4`` and ``w * (ceil(n / P) + 1)`` cycles,
    and is done ``2n + 11 + w * (ceil(n / P) + 1)`` cycles after its transfer. A waiting code word
    or a value pass still at work holds the coding pass.

    ``stall`` bits: no instruction while the summing pass is free, a logit read not granted, a
    result or a code word not taken. ``fault`` stays up after an instruction that names words
    beyond a memory, no keys, too many keys or words, values that do not begin in bank 0, a shift
    that the array does not have, or a logit exponent below -5; it is not executed and no further
    one is taken until reset.
    """

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
                "logit_read": Out(ReadRequest(bits["logit"], logits)),
                "max_read": Out(ReadPort(bits["slot"], data.ArrayLayout(signed(8), c.rows))),
                "value_read": Out(
                    ReadPort(bits["value"], data.ArrayLayout(signed(8), c.head_lanes))
                ),
                "code_write": Out(write_stream(addr_data(bits["logit"], bytes_))),
                "act_write": Out(write_stream(addr_data(bits["act"], c.rows * c.act_bytes))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        c = self.config
        m.submodules.softmax = softmax = SoftmaxUnit(
            LogIntSoftmax(form=c.exp_form), rows=c.rows, keys=c.max_keys
        )
        m.submodules.distance_store = distances = KeyStore(
            rows=c.rows, bits=T_BITS, banks=1, words=c.distance_words
        )
        m.submodules.code_store = codes = KeyStore(
            rows=c.rows, bits=CODE_BITS, banks=c.keys_per_cycle, words=c.code_words
        )
        m.submodules.value_pass = values = ValuePass(c)
        m.submodules.feed = feed = LogitFeed(c)
        m.submodules.writer = writer = CodeWriter(c)
        wiring.connect(m, feed.read, wiring.flipped(self.logit_read))
        wiring.connect(m, writer.write, wiring.flipped(self.code_write))
        wiring.connect(m, values.code_read, codes.read)
        wiring.connect(m, values.value_read, wiring.flipped(self.value_read))
        wiring.connect(m, values.act_write, wiring.flipped(self.act_write))

        # Summing pass, one instruction (`group`) at a time until the coding pass takes it.
        group = Signal(payload_layout(Op.ATTEND), reset_less=True)
        sum_busy, sum_done, take, start = Signal(), Signal(), Signal(), Signal()
        sum_last = Signal(SUM_LATENCY - 1)
        m.d.comb += [
            self.instr.ready.eq((~sum_busy | take) & ~self.fault),
            start.eq(self.instr.valid & self.instr.ready & self._legal(m)),
            self.max_read.en.eq(start),
            self.max_read.addr.eq(self.instr.p.slot),
            feed.start.eq(start),
            feed.addr.eq(self.instr.p.l_addr),
            feed.keys.eq(self.instr.p.keys),
            softmax.maxima.eq(self.max_read.data),
            softmax.frac.eq(group.frac),
            softmax.sum_valid.eq(feed.valid),
            softmax.sum_logits.eq(feed.logits),
            distances.put.eq(softmax.distance_valid),
            distances.last.eq(sum_last[0]),
            distances.values.eq(softmax.distances),
        ]
        m.d.sync += [
            softmax.load.eq(start),
            sum_last.eq(Cat(feed.valid & feed.last, sum_last)),
            sum_done.eq((sum_done | sum_last[-1]) & ~take),
            sum_busy.eq((sum_busy & ~take) | start),
            self.fault.eq(self.fault | (self.instr.valid & self.instr.ready & ~start)),
        ]
        with m.If(start):
            m.d.sync += group.eq(self.instr.p)

        # Coding pass: flags move with the keys; bit 3 is with the code that leaves. The group is
        # complete with its last one (`leaving`): values are next, and another group may come.
        coding = Signal(payload_layout(Op.ATTEND), reset_less=True)
        code_busy, advance, leaving, unfinished = Signal(), Signal(), Signal(), Signal()
        key, first, last = Signal(CODE_LATENCY + 1), Signal(3), Signal(CODE_LATENCY + 1)
        left, index = Signal.like(coding.keys), Signal.like(distances.read.addr, reset_less=True)
        read, fresh = Signal(), Signal()
        m.d.comb += [
            advance.eq(~(last[3] & values.busy) & (writer.ready | ~(key[3] | first[2]))),
            leaving.eq(advance & last[3]),
            take.eq(sum_done & (~code_busy | leaving)),
            softmax.take.eq(take),
            *(getattr(softmax, f).eq(group[f]) for f in ("half", "fq", "odd", "even")),
            read.eq(advance & (left != 0)),
            distances.read.en.eq(read),
            distances.read.addr.eq(index),
            distances.release.eq(read & (left == 1)),
            softmax.en.eq(advance),
            softmax.code_distances.eq(distances.read.data),
            writer.begin.eq(advance & first[2]),
            writer.addr.eq(coding.l_addr),
            writer.put.eq(advance & key[3] & coding.write_codes),
            writer.last.eq(last[3]),
            writer.codes.eq(softmax.codes),
            codes.put.eq(advance & key[3]),
            codes.last.eq(last[3]),
            codes.values.eq(softmax.codes),
            codes.release.eq(values.last_read),
            values.start.eq(leaving),
            values.instr.eq(coding),
            values.hold.eq(unfinished),
            self.done.eq(unfinished & writer.ready),
            self.busy.eq(sum_busy | code_busy | values.pending | unfinished),
        ]
        m.d.sync += [
            code_busy.eq((code_busy & ~leaving) | take),
            unfinished.eq((unfinished & ~writer.ready) | values.finish),
        ]
        with m.If(advance):
            m.d.sync += [
                key.eq(Cat(read, key)),
                first.eq(Cat(fresh, first)),
                last.eq(Cat(distances.release, last)),
            ]
        with m.If(read):
            m.d.sync += [left.eq(left - 1), index.eq(index + 1), fresh.eq(0)]
        with m.If(take):
            m.d.sync += [coding.eq(group), left.eq(group.keys), index.eq(0), fresh.eq(1)]

        def waits(port: Any) -> Value:
            return port.valid & ~port.ready

        m.d.comb += [
            self.stall.no_instr.eq((~sum_busy | take) & ~self.instr.valid),
            self.stall.logit_read.eq(waits(self.logit_read.req)),
            self.stall.act_write.eq(waits(self.act_write)),
            self.stall.code_write.eq(waits(self.code_write)),
        ]
        return m

    def _legal(self, m: Module) -> Signal:
        """Whether the instruction offered stays within the configuration."""
        c, p = self.config, self.instr.p
        legal = Signal()
        logit_words = (p.keys + (c.cols - 1)) >> ceil_log2(c.cols)
        m.d.comb += legal.eq(
            (p.keys != 0)
            & (p.keys <= c.max_keys)
            & (p.frac <= LUT_BITS)
            & (p.slot < c.slots)
            & (p.shift >= SHIFTS.start)
            & (p.shift < SHIFTS.stop)
            & (p.l_addr + logit_words <= c.logit_words)
            & (p.v_addr + p.keys <= c.value_words)
            & ((p.v_addr & (c.keys_per_cycle - 1)) == 0)
            & (p.d_words != 0)
            & (p.d_words <= c.head_lanes // c.act_bytes)
            & (p.d_addr + p.d_words <= c.act_words)
        )
        return legal
