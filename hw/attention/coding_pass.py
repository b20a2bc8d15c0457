"""Second pass of attention: the distances of a row group and its sums to log2 codes, key by key."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.attention.code_writer import CodeWriter
from hw.attention.exponential import T_BITS
from hw.attention.key_store import KeyRead, KeyWrite
from hw.attention.softmax import CodeLanes
from hw.config import CODE_BITS, Config
from hw.isa.instruction import Op
from hw.isa.latencies import CODE, READ
from hw.isa.layouts import payload_layout
from hw.lib.ports import addr_data, write_stream

#: What moves with a key from the read of its distances to its codes.
_FLAGS = data.StructLayout({"key": 1, "first": 1, "last": 1})


class CodingPass(wiring.Component):
    """Reads a group's distances once more, makes codes of them and hands the group on.

    ```
    i ─► distances ─► lanes ─┬─► codes, complete as the instruction leaves through o
                             └─► code_write (with write_codes)
    ```
    One key of all rows per cycle. Without waits ``o`` offers an instruction of ``n`` keys
    ``n + READ + CODE`` cycles after its transfer on ``i``, and the next is taken in the cycle in
    which it leaves. A code word that waits, or a value pass that does not take the group, holds
    the whole pass.

    Members
    -------
    i : In(stream), instructions whose sums are complete; they move to the lanes with the transfer.
    o : Out(stream), those whose last codes are put in this cycle.
    busy : Out(1), an instruction is in work. written : Out(1), no code word waits for its memory.
    distances : Out(KeyRead), those of the summing pass.
    lanes : Out(CodeLanes), the coding side of `SoftmaxUnit`.
    codes : Out(KeyWrite), for the value pass. code_write : Out(write_stream), over the logits.
    """

    def __init__(self, config: Config) -> None:
        self.config = c = config
        bits = c.addr_bits["logit"]
        super().__init__(
            {
                "i": In(stream.Signature(payload_layout(Op.ATTEND))),
                "o": Out(stream.Signature(payload_layout(Op.ATTEND))),
                "busy": Out(1),
                "written": Out(1),
                "distances": Out(KeyRead(c.rows, T_BITS, 1, c.distance_words)),
                "lanes": Out(CodeLanes(c.rows)),
                "codes": Out(KeyWrite(c.rows, CODE_BITS)),
                "code_write": Out(write_stream(addr_data(bits, c.rows * c.cols))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.writer = writer = CodeWriter(self.config)
        wiring.connect(m, writer.write, wiring.flipped(self.code_write))
        group = Signal.like(self.i.p, reset_less=True)
        take, leave, advance = Signal(), Signal(), Signal()
        stages = [Signal(_FLAGS, name=f"stage{n}") for n in range(READ + CODE)]
        coming, code = stages[-2:]
        read = self._read(m, take, advance)
        m.d.comb += [
            self.i.ready.eq(~self.busy | leave),
            take.eq(self.i.valid & self.i.ready),
            self.o.valid.eq(code.last & writer.ready),
            self.o.p.eq(group),
            leave.eq(self.o.valid & self.o.ready),
            # A new group's place in the logits is set the cycle before its first code.
            advance.eq((writer.ready | ~(code.key | coming.first)) & (self.o.ready | ~code.last)),
            self.written.eq(writer.ready),
            writer.begin.eq(advance & coming.first),
            writer.addr.eq(group.l_addr),
            writer.put.eq(advance & code.key & group.write_codes),
            writer.last.eq(code.last),
            writer.codes.eq(self.lanes.codes),
            self.codes.put.eq(advance & code.key),
            self.codes.last.eq(code.last),
            self.codes.values.eq(self.lanes.codes),
        ]
        self._drive_lanes(m, take, advance)
        m.d.sync += self.busy.eq((self.busy & ~leave) | take)
        with m.If(advance):
            m.d.sync += [a.eq(b) for a, b in zip(stages, [read, *stages], strict=False)]
        with m.If(take):
            m.d.sync += group.eq(self.i.p)
        return m

    def _read(self, m: Module, take: Signal, advance: Signal) -> data.View:
        """Walk the keys; the flags of the one that is read in this cycle, if any."""
        port = self.distances
        left = Signal.like(self.i.p.keys)
        index, fresh = Signal.like(port.read.addr, reset_less=True), Signal()
        flags = Signal(_FLAGS)
        m.d.comb += [
            flags.key.eq(advance & (left != 0)),
            flags.first.eq(fresh),
            flags.last.eq(flags.key & (left == 1)),
            port.read.en.eq(flags.key),
            port.read.addr.eq(index),
            port.release.eq(flags.last),
        ]
        with m.If(flags.key):
            m.d.sync += [left.eq(left - 1), index.eq(index + 1), fresh.eq(0)]
        with m.If(take):
            m.d.sync += [left.eq(self.i.p.keys), index.eq(0), fresh.eq(1)]
        return flags

    def _drive_lanes(self, m: Module, take: Signal, advance: Signal) -> None:
        lanes, new = self.lanes, self.i.p
        m.d.comb += [
            lanes.take.eq(take),
            lanes.half.eq(new.half),
            lanes.fq.eq(new.fq),
            lanes.odd.eq(new.odd),
            lanes.even.eq(new.even),
            lanes.en.eq(advance),
            lanes.code_distances.eq(self.distances.read.data),
        ]
