"""Data side of the LOAD unit: beats in order to words of the on-chip memories."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.bus.axi import RESP_OKAY, read_layout
from hw.config import Config
from hw.dma.gather_writer import GatherWriter, gather_members, window_bytes
from hw.formats.memories import Space, memories
from hw.isa.instruction import PAYLOAD_BITS, Mem, Op
from hw.isa.layouts import payload_layout
from hw.lib.facet import Facet
from hw.lib.gearbox import Gearbox
from hw.lib.ports import WritePort, addr_data, write_stream

STREAM, NORM, GELU, CONST, GATHER = range(5)
MEMORIES = {STREAM: Mem.STREAM, NORM: Mem.NORM, GELU: Mem.GELU, CONST: Mem.CONST}


def job_layout() -> data.StructLayout:
    """Payload of LOAD or GATHER and the index of what becomes of it (`STREAM` .. `GATHER`)."""
    return data.StructLayout({"unit": range(5), "payload": PAYLOAD_BITS})


def write_members(config: Config) -> dict[str, Any]:
    """The six outputs to memories, as members of a signature."""
    bits = config.addr_bits
    return {
        "stream_write": Out(write_stream(addr_data(bits["stream"], config.stream_bytes))),
        "norm_write": Out(write_stream(addr_data(bits["norm"], config.norm_bytes))),
        "gelu_write": Out(WritePort(data.StructLayout({"index": 8, "byte": 8}))),
        "const": Out(stream.Signature(data.ArrayLayout(signed(16), config.cols))),
        **gather_members(config),
    }


class LoadWriter(wiring.Component):
    """Writes the beats of one job after the other; one cycle between jobs, none between runs.

    Members
    -------
    job : its beats follow on ``r``; legal but for its beats being enough and, for GATHER,
        its addresses, which show on the way.
    drain : take and drop all beats, write nothing, finish nothing.
    done : pulses the cycle after a job's last transfer.
    illegal, bus_fault : pulses on such a job, and on an error response, whose beat is dropped.
    freed : a beat or word of constants is used up.
    active : a job is in work; ``starved`` : it waits for data; ``blocked`` : a write waits.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(
            {
                "job": In(stream.Signature(job_layout())),
                "r": In(stream.Signature(read_layout(config.axi_bytes))),
                "drain": In(1),
                "done": Out(1),
                "illegal": Out(1),
                "bus_fault": Out(1),
                "freed": Out(1),
                "active": Out(1),
                "starved": Out(1),
                "blocked": Out(1),
                **write_members(config),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        rows = memories(config)
        sizes = [rows[Space(memory)].moved for memory in MEMORIES.values()]
        m.submodules.gearbox = gearbox = Gearbox(config.axi_bytes, [*sizes, window_bytes(config)])
        m.submodules.gather = gather = GatherWriter(config)
        writes = wiring.Signature(gather_members(config))
        wiring.connect(m, Facet(gather, writes), wiring.flipped(Facet(self, writes)))

        unit = Signal(range(5))
        addr, words = Signal(16, reset_less=True), Signal(16, reset_less=True)
        gathers, ok, pop = Signal(), Signal(), Signal()
        m.d.comb += [
            gathers.eq(unit == GATHER),
            ok.eq(self.active & ~self.drain),
            pop.eq(Mux(gathers, gather.step, gearbox.o.valid & gearbox.o.ready)),
            gearbox.select.eq(unit),
            gearbox.i.p.eq(self.r.p.data),
            gearbox.last.eq(words == 1),
            gearbox.clear.eq(gathers & gather.freed),
            gather.en.eq(ok & gathers),
            gather.bytes_.eq(gearbox.bytes_),
            gather.held.eq(gearbox.held),
            self.blocked.eq(Mux(gathers, gather.blocked, ok & gearbox.o.valid & ~gearbox.o.ready)),
            self.freed.eq(gearbox.freed & (unit == CONST)),
        ]
        self._outputs(m, gearbox, unit, addr, ok)
        start = self._beats(m, gearbox, gather, gathers, pop, ok, words == 1)

        with m.If(pop):
            m.d.sync += [addr.eq(addr + 1), words.eq(words - 1)]
        load = data.View(payload_layout(Op.LOAD), self.job.p.payload)
        m.d.comb += [gather.run.eq(self.job.p.payload), gather.start.eq(start)]
        with m.If(start):
            m.d.sync += [unit.eq(self.job.p.unit), addr.eq(load.addr), words.eq(load.words)]
        return m

    def _beats(
        self, m: Module, gearbox: Gearbox, gather: GatherWriter, gathers: Signal, pop: Signal,
        ok: Signal, last_word: Any,
    ) -> Any:  # fmt: skip
        """Count the beats of runs (LOAD: of its one run); return when the next job starts."""
        run_beats, beats = Signal(16, reset_less=True), Signal(16, reset_less=True)
        # Of the run at hand all words are written; of the job.
        ended, complete = Signal(), Signal()
        dropping, done, run_done, again, finish = (Signal() for _ in range(5))
        accepts, good, start = Signal(), Signal(), Signal()
        m.d.comb += [
            dropping.eq(ended | (pop & Mux(gathers, gather.run_end, last_word))),
            done.eq(complete | (pop & Mux(gathers, gather.last, last_word))),
            run_done.eq(ok & (beats == 0) & dropping),
            finish.eq(run_done & done),
            # The first beat of the next run takes the place of the last one of this.
            again.eq(run_done & ~done),
            gather.final.eq(beats == 0),
            # What comes with an error is not offered: `drain` follows too late to hold it back.
            good.eq(self.r.p.resp == RESP_OKAY),
            accepts.eq(again | (ok & (beats != 0) & ~dropping)),
            gearbox.i.valid.eq(self.r.valid & good & accepts),
            self.r.ready.eq(
                self.drain | (accepts & gearbox.i.ready) | (ok & (beats != 0) & dropping)
            ),
            self.bus_fault.eq(self.r.valid & self.r.ready & ~good),
            self.job.ready.eq((~self.active | finish) & ~self.drain),
            start.eq(self.job.valid & self.job.ready),
            self.starved.eq(ok & (beats != 0) & gearbox.i.ready & ~self.r.valid),
            self.illegal.eq(
                gather.outside
                | (ok & (beats == 0) & ~dropping & ~Mux(gathers, gather.valid, gearbox.o.valid))
            ),
        ]
        m.d.sync += [
            self.done.eq(finish),
            beats.eq(Mux(again, run_beats, beats) - (self.r.valid & self.r.ready)),
            ended.eq(dropping & ~run_done),
            complete.eq(done & ~finish),
        ]
        with m.If(finish):
            m.d.sync += self.active.eq(0)
        load = data.View(payload_layout(Op.LOAD), self.job.p.payload)
        run = data.View(payload_layout(Op.GATHER), self.job.p.payload)
        first = Mux(self.job.p.unit == GATHER, run.beats, load.beats)
        with m.If(start):
            m.d.sync += [self.active.eq(1), beats.eq(first), run_beats.eq(first)]
        return start

    def _outputs(self, m: Module, gearbox: Gearbox, unit: Signal, addr: Signal, ok: Signal) -> None:
        """Offer the word at hand to its destination."""
        word, shown = gearbox.o.p.as_value(), gearbox.o.valid & ok
        for port in (self.stream_write, self.norm_write):
            m.d.comb += [port.p.addr.eq(addr), port.p.data.as_value().eq(word)]
        m.d.comb += [
            self.const.p.as_value().eq(word),
            self.gelu_write.payload.eq(Cat(addr[:8], word[:8])),
        ]
        with m.Switch(unit):
            for index, port in (
                (STREAM, self.stream_write), (NORM, self.norm_write), (CONST, self.const),
            ):  # fmt: skip
                with m.Case(index):
                    m.d.comb += [port.valid.eq(shown), gearbox.o.ready.eq(ok & port.ready)]
            with m.Case(GELU):
                m.d.comb += [self.gelu_write.en.eq(shown), gearbox.o.ready.eq(ok)]
