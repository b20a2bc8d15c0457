"""Program fetch: instructions from DRAM, ahead of their use, in order."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.bus.axi import BURST_INCR, RESP_OKAY, AxiRead
from hw.bus.widths import ADDR_BITS
from hw.config import Config
from hw.isa.instruction import INSTR_BYTES
from hw.lib.fifo import Fifo

#: Largest burst of a fetch in bytes, and what every burst but the first is aligned to.
FETCH_BYTES = 64


class Fetch(wiring.Component):
    """Reads ``count`` instructions from ``base + offset`` in bursts of up to `FETCH_BYTES`.

    A burst ends at the latest at an address that is a multiple of the largest burst, a power of
    two, so none crosses 4 KB wherever the program starts. A burst is requested once the queue of
    ``fetch_depth`` instructions has room for all of it, so the R channel is never blocked for
    longer than it takes to split a wide beat. The first request is on ``axi`` two cycles after
    ``start``; the next is formed the cycle after one is taken.

    Members
    -------
    prepare : pulse; keep ``offset`` (bytes, a multiple of the bus width) and ``count``.
    start : pulse at least two cycles later; begin.
    base, limit : the DMA window, bytes, constant from the cycle after ``prepare``; ``base`` is a
        multiple of the bus width. axi : to the read arbiter. o : instructions.
    ended : all ``count`` instructions have left through ``o``.
    window_fault, bus_fault : pulses; a request would leave the window; R brought an error.
    stop : request nothing more and discard what arrives. quiet : nothing is outstanding.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(
            {
                "prepare": In(1),
                "start": In(1),
                "offset": In(32),
                "count": In(32),
                "base": In(ADDR_BITS),
                "limit": In(32),
                "axi": Out(AxiRead(config.axi_bytes)),
                "o": Out(stream.Signature(8 * INSTR_BYTES)),
                "ended": Out(1),
                "window_fault": Out(1),
                "bus_fault": Out(1),
                "stop": In(1),
                "quiet": Out(1),
                "beat": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        beat_bytes = config.axi_bytes
        # A power of two of beats: aligned bursts of it stay within 4 KB.
        largest = 1 << (config.burst_beats.bit_length() - 1)
        burst = max(1, min(FETCH_BYTES // beat_bytes, largest))
        size = (beat_bytes - 1).bit_length()
        grain = min(beat_bytes, INSTR_BYTES)
        # Room for a burst behind an instruction that has come in part.
        depth = max(config.fetch_depth, FETCH_BYTES // INSTR_BYTES + 1)
        room = depth * INSTR_BYTES // grain
        beat_grains = beat_bytes // grain
        burst_grains = burst * beat_grains
        m.submodules.queue = queue = Fifo(8 * INSTR_BYTES, depth)

        # Requests. `beats` and `more` lag a cycle behind `beats_left`, which moves less often.
        at, going = Signal(33), Signal()
        beats_left, more = Signal(32 + 4), Signal()
        instr_left = Signal(32)
        reserved = Signal(range(room + burst_grains + 1))
        awaited = Signal(range(room + burst_grains + 1))  # beats
        beats = Signal(range(burst + 1))
        span = Signal(range(burst + 1), init=burst)  # beats to a multiple of the largest burst
        ar, r = self.axi.ar, self.axi.r
        form, formed, popped, outside = Signal(), Signal(), Signal(), Signal()
        end = Signal(34)

        m.d.comb += [
            end.eq(at + beats * beat_bytes),
            form.eq(~formed & ~self.stop & going & more & (reserved + burst_grains <= room)),
            ar.valid.eq(formed & ~outside),
            self.window_fault.eq(formed & outside & ~self.stop),
            popped.eq(self.o.valid & self.o.ready),
            self.quiet.eq(~ar.valid & (awaited == 0)),
        ]
        m.d.sync += [beats.eq(Mux(beats_left < span, beats_left, span)), more.eq(beats_left != 0)]
        with m.If(~going):
            m.d.sync += span.eq(burst - ((self.base + at)[size:] & (burst - 1)))
        with m.If(form):
            m.d.sync += [
                formed.eq(1),
                outside.eq(end > self.limit),
                ar.p.addr.eq(self.base + at),
                ar.p.len.eq(beats - 1),
                ar.p.size.eq(beat_bytes.bit_length() - 1),
                ar.p.burst.eq(BURST_INCR),
                at.eq(end),
                span.eq(burst),
                beats_left.eq(beats_left - beats),
            ]
        with m.Elif(ar.valid & ar.ready):
            m.d.sync += formed.eq(0)
        m.d.sync += [
            reserved.eq(
                reserved + Mux(form, beats * beat_grains, 0) - Mux(popped, INSTR_BYTES // grain, 0)
            ),
            awaited.eq(awaited + Mux(ar.valid & ar.ready, ar.p.len + 1, 0) - (r.valid & r.ready)),
        ]
        with m.If(popped):
            m.d.sync += instr_left.eq(instr_left - 1)
        with m.If(self.prepare):
            total = self._beats(self.count)
            m.d.sync += [at.eq(self.offset), instr_left.eq(self.count), beats_left.eq(total)]
        with m.If(self.start):
            m.d.sync += going.eq(1)

        # Answers.
        m.d.comb += [
            self.bus_fault.eq(r.valid & r.ready & (r.p.resp != RESP_OKAY)),
            self.beat.eq(r.valid & r.ready),
        ]
        self._assemble(m, queue)

        m.d.comb += [
            self.o.p.eq(queue.o.p),
            self.o.valid.eq(queue.o.valid & (instr_left != 0)),
            queue.o.ready.eq(self.o.ready),
            self.ended.eq(instr_left == 0),
        ]
        return m

    def _beats(self, count: Any) -> Any:
        """Beats that hold ``count`` instructions."""
        per = INSTR_BYTES // self.config.axi_bytes
        return count * per if per else (count + 1) >> 1

    def _assemble(self, m: Module, queue: Fifo) -> None:
        """Beats to instructions: collect narrow ones, split wide ones."""
        r, i = self.axi.r, queue.i
        beats = INSTR_BYTES // self.config.axi_bytes
        if beats == 0:
            second = Signal(8 * INSTR_BYTES)
            full = Signal()
            m.d.comb += [
                r.ready.eq(~full | self.stop),
                i.valid.eq(r.valid | full),
                i.p.eq(Mux(full, second, r.p.data)),
            ]
            m.d.sync += full.eq(~full & r.valid)
            with m.If(r.valid & r.ready):
                m.d.sync += second.eq(r.p.data[8 * INSTR_BYTES :])
            return
        m.d.comb += r.ready.eq(1)
        if beats == 1:
            m.d.comb += [i.valid.eq(r.valid), i.p.eq(r.p.data)]
            return
        width = 8 * self.config.axi_bytes
        have = Signal(range(beats))
        earlier = Signal(8 * INSTR_BYTES - width)
        m.d.comb += [
            i.valid.eq(r.valid & (have == beats - 1)),
            i.p.eq(Cat(earlier, r.p.data)),
        ]
        with m.If(r.valid):
            m.d.sync += [have.eq(have + 1), earlier.eq(Cat(earlier, r.p.data)[width:])]
