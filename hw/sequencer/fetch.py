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
        # A power of two of beats: aligned bursts of it stay within 4 KB.
        largest = 1 << (config.burst_beats.bit_length() - 1)
        self.burst = max(1, min(FETCH_BYTES // config.axi_bytes, largest))
        # Room for a burst behind an instruction that has come in part.
        self.depth = max(config.fetch_depth, FETCH_BYTES // INSTR_BYTES + 1)
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
        r = self.axi.r
        m.submodules.queue = queue = Fifo(8 * INSTR_BYTES, self.depth)
        left = Signal(32)  # instructions that have not left
        popped, answered = Signal(), Signal()
        with m.If(popped):
            m.d.sync += left.eq(left - 1)
        with m.If(self.prepare):
            m.d.sync += left.eq(self.count)
        m.d.comb += [
            answered.eq(r.valid & r.ready),
            self.bus_fault.eq(answered & (r.p.resp != RESP_OKAY)),
            self.beat.eq(answered),
            self.o.p.eq(queue.o.p),
            self.o.valid.eq(queue.o.valid & (left != 0)),
            queue.o.ready.eq(self.o.ready),
            popped.eq(self.o.valid & self.o.ready),
            self.ended.eq(left == 0),
        ]
        self._request(m, popped, answered)
        self._assemble(m, queue)
        return m

    def _request(self, m: Module, popped: Signal, answered: Signal) -> None:
        """Bursts, each once the queue has room: a register is formed, then stands on AR."""
        beat_bytes, burst, ar = self.config.axi_bytes, self.burst, self.axi.ar
        size = (beat_bytes - 1).bit_length()
        # Room is counted in the grain of beats and instructions, whichever is smaller.
        grain = min(beat_bytes, INSTR_BYTES)
        beat_grains = beat_bytes // grain
        room, burst_grains = self.depth * INSTR_BYTES // grain, burst * beat_grains
        reserved = Signal(range(room + burst_grains + 1))
        awaited = Signal(range(room + burst_grains + 1))  # beats

        at, end, going = Signal(33), Signal(34), Signal()
        # `beats` and `more` lag a cycle behind `left`, which moves less often.
        left, beats, more = Signal(32 + 4), Signal(range(burst + 1)), Signal()
        span = Signal(range(burst + 1), init=burst)  # beats to a multiple of the largest burst
        form, formed, taken, outside = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            end.eq(at + beats * beat_bytes),
            form.eq(~formed & ~self.stop & going & more & (reserved + burst_grains <= room)),
            ar.valid.eq(formed & ~outside),
            taken.eq(ar.valid & ar.ready),
            self.window_fault.eq(formed & outside & ~self.stop),
            self.quiet.eq(~ar.valid & (awaited == 0)),
        ]
        m.d.sync += [
            beats.eq(Mux(left < span, left, span)),
            more.eq(left != 0),
            reserved.eq(
                reserved + Mux(form, beats * beat_grains, 0) - Mux(popped, INSTR_BYTES // grain, 0)
            ),
            awaited.eq(awaited + Mux(taken, ar.p.len + 1, 0) - answered),
        ]
        with m.If(~going):
            m.d.sync += span.eq(burst - ((self.base + at)[size:] & (burst - 1)))
        with m.If(form):
            m.d.sync += [
                formed.eq(1), outside.eq(end > self.limit), ar.p.addr.eq(self.base + at),
                ar.p.len.eq(beats - 1), ar.p.size.eq(size), ar.p.burst.eq(BURST_INCR),
                at.eq(end), span.eq(burst), left.eq(left - beats),
            ]  # fmt: skip
        with m.Elif(taken):
            m.d.sync += formed.eq(0)
        with m.If(self.prepare):
            m.d.sync += [at.eq(self.offset), left.eq(self._beats(self.count))]
        with m.If(self.start):
            m.d.sync += going.eq(1)

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
