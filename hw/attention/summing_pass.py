"""First pass of attention: the logits of a row group, key by key, to sums of exponentials."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from golden.ops.softmax import LUT_BITS
from hw.attention.exponential import T_BITS
from hw.attention.key_store import KeyWrite
from hw.attention.logit_feed import LogitFeed
from hw.attention.softmax import SumLanes
from hw.config import Config
from hw.isa.instruction import Op
from hw.isa.latencies import SUM
from hw.isa.layouts import payload_layout
from hw.isa.limits import SHIFTS
from hw.lib.ports import ReadPort, ReadRequest


class SummingPass(wiring.Component):
    """Takes ATTEND instructions, reads their logits and hands them on when the sums are there.

    ```
    instr ─► logit_read, max_read ─► lanes ─► distances
                                       └─► sums, complete as the instruction leaves through o
    ```
    One key of all rows per cycle while reads are granted. Without waits ``o`` offers an
    instruction of ``n`` keys ``LOGIT_FEED - 1 + n + SUM`` cycles after its transfer on ``instr``,
    and the next is taken in the cycle in which it leaves. The sums stay until then.

    Members
    -------
    instr : In(stream), instructions of ATTEND. o : Out(stream), those whose sums are complete.
    busy : Out(1), an instruction is in work. starved : Out(1), there is room for one.
    fault : Out(1), until reset: an instruction was illegal (`AttentionUnit` says which are); it
        is not executed, and no further one is taken.
    logit_read : Out(ReadRequest). max_read : Out(ReadPort), the rows' maxima.
    lanes : Out(SumLanes), the summing side of `SoftmaxUnit`.
    distances : Out(KeyWrite), where the distances from the maxima are kept.
    """

    def __init__(self, config: Config) -> None:
        self.config = c = config
        logits = data.ArrayLayout(signed(8), c.rows * c.cols)
        maxima = data.ArrayLayout(signed(8), c.rows)
        super().__init__(
            {
                "instr": In(stream.Signature(payload_layout(Op.ATTEND))),
                "o": Out(stream.Signature(payload_layout(Op.ATTEND))),
                "busy": Out(1),
                "starved": Out(1),
                "fault": Out(1),
                "logit_read": Out(ReadRequest(c.addr_bits["logit"], logits)),
                "max_read": Out(ReadPort(c.addr_bits["slot"], maxima)),
                "lanes": Out(SumLanes(c.rows)),
                "distances": Out(KeyWrite(c.rows, T_BITS)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        instr, lanes = self.instr.p, self.lanes
        m.submodules.feed = feed = LogitFeed(self.config)
        wiring.connect(m, feed.read, wiring.flipped(self.logit_read))
        group = Signal.like(instr, reset_less=True)
        free, take, start, leave = Signal(), Signal(), Signal(), Signal()
        # With the last key: a bit per stage behind the logits, the last one with the sums.
        last = Signal(SUM - 1)
        m.d.comb += [
            leave.eq(self.o.valid & self.o.ready),
            free.eq(~self.busy | leave),
            self.instr.ready.eq(free & ~self.fault),
            take.eq(self.instr.valid & self.instr.ready),
            start.eq(take & _legal(instr, self.config)),
            self.starved.eq(free & ~self.instr.valid),
            self.o.p.eq(group),
            self.max_read.en.eq(start),
            self.max_read.addr.eq(instr.slot),
            feed.start.eq(start),
            feed.addr.eq(instr.l_addr),
            feed.keys.eq(instr.keys),
            lanes.maxima.eq(self.max_read.data),
            lanes.frac.eq(group.frac),
            lanes.masked.eq(group.masked),
            lanes.sum_valid.eq(feed.valid),
            lanes.sum_logits.eq(feed.logits),
            self.distances.put.eq(lanes.distance_valid),
            self.distances.last.eq(last[0]),
            self.distances.values.eq(lanes.distances),
        ]
        m.d.sync += [
            lanes.load.eq(start),
            last.eq(Cat(feed.valid & feed.last, last)),
            self.o.valid.eq((self.o.valid | last[-1]) & ~leave),
            self.busy.eq((self.busy & ~leave) | start),
            self.fault.eq(self.fault | (take & ~start)),
        ]
        with m.If(start):
            m.d.sync += group.eq(instr)
        return m


def _legal(instr: Any, config: Config) -> Value:
    """Whether an instruction stays within the configuration."""
    c = config
    logit_words = (instr.keys + (c.cols - 1)) >> ceil_log2(c.cols)
    return (
        (instr.keys != 0)
        & (instr.keys <= c.max_keys)
        & (instr.frac <= LUT_BITS)
        & (instr.slot < c.slots)
        & (instr.shift >= SHIFTS.start)
        & (instr.shift < SHIFTS.stop)
        & (instr.l_addr + logit_words <= c.logit_words)
        & (instr.v_addr + instr.keys <= c.value_words)
        & ((instr.v_addr & (c.keys_per_cycle - 1)) == 0)
        & (instr.d_words != 0)
        & (instr.d_words <= c.head_lanes // c.act_bytes)
        & (instr.d_addr + instr.d_words <= c.act_words)
    )
