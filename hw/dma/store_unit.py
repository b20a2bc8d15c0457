"""STORE unit: on-chip memories to DRAM over AXI4 writes."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from hw.bus.axi import RESP_OKAY, AxiWrite
from hw.bus.burst import BurstSplitter
from hw.bus.dma_port import MasterPort
from hw.bus.ranges import RangeWalk
from hw.config import Config
from hw.dma.store_reader import SOURCES, StoreReader, beats_per_word, read_members
from hw.dma.token_walk import run_legal
from hw.isa.instruction import Mem, Op
from hw.isa.layouts import payload_layout
from hw.lib.facet import Facet
from hw.lib.register_queue import RegisterQueue
from hw.lib.unit_port import UnitPort, either_layout

STALLS = data.StructLayout({"no_instr": 1, "read": 1, "bus": 1})


def store_instr_layout() -> data.StructLayout:
    """``payload`` is that of SCATTER if ``scatter``, else that of STORE."""
    return either_layout("scatter")


class StoreUnit(wiring.Component):
    """Executes STORE and SCATTER instructions (docs/architecture.md).

    One beat per cycle while reads are granted. A burst's data are offered from the cycle after
    its address is, whether or not the address has been accepted: a slave may wait for WVALID
    before it raises AWREADY, so a master may not wait for AWREADY (IHI 0022, A3.3.1). The next
    instruction starts when the last word of one is read.

    Members
    -------
    `UnitPort`, `MasterPort` and ``axi``.
    done : pulses the cycle after the response to an instruction's last burst.
    fault : illegal source, address, alignment or length. Like ``window_fault`` and
        ``bus_fault`` it stays until reset; the unit then acts as stopped.
    stop : start no burst, fill those under way with beats that write nothing (no strobes).
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(
            {
                **UnitPort(store_instr_layout(), STALLS).members,
                **MasterPort().members,
                "axi": Out(AxiWrite(config.axi_bytes)),
                **read_members(config),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config, instr = self.config, self.instr.p
        store = data.View(payload_layout(Op.STORE), instr.as_value())
        run = data.View(payload_layout(Op.SCATTER), instr.as_value())
        beats_bits = len(store.words) + max(beats_per_word(config).values()).bit_length()
        m.submodules.ranges = ranges = RangeWalk(beats_bits, config.axi_bytes)
        m.submodules.splitter = splitter = BurstSplitter(config, beats_bits)
        m.submodules.reader = reader = StoreReader(config)
        reads = wiring.Signature(read_members(config))
        wiring.connect(m, Facet(reader, reads), wiring.flipped(Facet(self, reads)))

        halted, illegal, broken = Signal(), Signal(), Signal()
        legal, source, beats = self._decode(m, store, run, beats_bits)
        take = self.instr.valid & self.instr.ready
        m.d.comb += [
            halted.eq(self.stop | self.fault | self.window_fault | self.bus_fault),
            self.instr.ready.eq(ranges.i.ready & reader.job.ready & ~halted),
            splitter.base.eq(self.base),
            splitter.limit.eq(self.limit),
            ranges.i.valid.eq(take & legal),
            ranges.i.p.offset.eq(Mux(instr.scatter, run.dram, store.dram)),
            ranges.i.p.beats.eq(beats),
            ranges.i.p.runs.eq(Mux(instr.scatter, run.runs, 1)),
            ranges.i.p.pitch.eq(run.pitch),
            reader.job.valid.eq(take & legal),
            reader.job.p.source.eq(source),
            reader.job.p.addr.eq(store.addr),
            reader.job.p.words.eq(store.words),
            reader.job.p.scatter.eq(instr.scatter),
            reader.job.p.run.eq(run),
            self.window_fault.eq(splitter.outside),
            self.fault.eq(illegal | splitter.misaligned),
            self.bus_fault.eq(broken),
        ]
        with m.If((take & ~legal) | reader.illegal):
            m.d.sync += illegal.eq(1)
        wiring.connect(m, ranges.o, splitter.i)
        waiting = self._bursts(m, splitter, reader, halted, broken, ranges.more)
        m.d.comb += [
            self.busy.eq(reader.active | ~splitter.idle | ranges.more | waiting),
            self.quiet.eq(halted & ~waiting),
            self.stall.no_instr.eq(~self.busy & ~self.instr.valid),
            self.stall.read.eq(reader.starved),
            self.stall.bus.eq(reader.o.valid & ~reader.o.ready),
        ]
        return m

    def _decode(
        self, m: Module, store: data.View, run: data.View, beats_bits: int
    ) -> tuple[Signal, Signal, Signal]:
        """Legality, source and beats (of a run) of the instruction offered."""
        config, counts = self.config, beats_per_word(self.config)
        legal, source, beats = Signal(), Signal(range(len(SOURCES))), Signal(beats_bits)
        with m.If(self.instr.p.scatter):
            plain = ~Cat(run.flip, run.bank, run.line_bank).any()
            whole = ~run.seg_bytes[: (config.cols - 1).bit_length()].any()
            ours = run.mem == Mem.RESIDUAL
            m.d.comb += [
                source.eq(list(SOURCES.values()).index(Mem.RESIDUAL)),
                legal.eq(run_legal(run, config) & ours & plain & whole),
                beats.eq(run.beats),
            ]
        with m.Else(), m.Switch(store.src):
            for i, (name, memory) in enumerate(SOURCES.items()):
                with m.Case(memory):
                    fits = store.addr + store.words <= getattr(config, f"{name}_words")
                    m.d.comb += [
                        source.eq(i),
                        legal.eq((store.words != 0) & fits),
                        beats.eq(store.words * counts[name]),
                    ]
        return legal, source, beats

    def _bursts(
        self, m: Module, splitter: BurstSplitter, reader: StoreReader, halted: Signal,
        broken: Signal, more: Signal,
    ) -> Signal:  # fmt: skip
        """Addresses, data and responses; return whether any burst lacks its response."""
        config, axi = self.config, self.axi
        # Addresses are at most so many bursts ahead of data: the next one must be known in time.
        m.submodules.lengths = lengths = RegisterQueue(splitter.len_bits, 2)
        m.submodules.finals = finals = RegisterQueue(1, config.outstanding)
        waiting = Signal(range(config.outstanding + 1))
        room, fire, final = Signal(), Signal(), Signal()
        m.d.comb += [
            room.eq(~axi.aw.valid | axi.aw.ready),
            splitter.o.ready.eq(room & lengths.i.ready & (waiting != config.outstanding) & ~halted),
            fire.eq(splitter.o.valid & splitter.o.ready),
            # `finals` is never full: it holds the bursts that `waiting` counts.
            lengths.i.valid.eq(fire),
            lengths.i.p.eq(splitter.o.p.address.len),
            finals.i.valid.eq(fire),
            finals.i.p.eq(splitter.o.p.last & ~more),
            finals.o.ready.eq(axi.b.valid),
            axi.b.ready.eq(1),
            final.eq(axi.b.valid & finals.o.p),
        ]
        address = Signal.like(axi.aw.p, reset_less=True)
        m.d.comb += axi.aw.p.eq(address)
        with m.If(room):
            m.d.sync += [axi.aw.valid.eq(fire), address.eq(splitter.o.p.address)]
        m.d.sync += [
            waiting.eq(waiting + fire - axi.b.valid),
            self.done.eq(final & ~halted & (axi.b.p.resp == RESP_OKAY)),
        ]
        with m.If(axi.b.valid & (axi.b.p.resp != RESP_OKAY)):
            m.d.sync += broken.eq(1)

        index = Signal(splitter.len_bits)
        free, load, last = Signal(), Signal(), Signal()
        beat = Signal.like(axi.w.p, reset_less=True)
        m.d.comb += [
            axi.w.p.eq(beat),
            free.eq(~axi.w.valid | axi.w.ready),
            reader.o.ready.eq(free & lengths.o.valid & ~halted),
            load.eq(free & lengths.o.valid & (reader.o.valid | halted)),
            last.eq(index == lengths.o.p),
            lengths.o.ready.eq(load & last),
        ]
        with m.If(free):
            m.d.sync += axi.w.valid.eq(load)
        with m.If(load):
            m.d.sync += [
                index.eq(Mux(last, 0, index + 1)),
                beat.data.eq(reader.o.p),
                beat.strb.eq((~halted).replicate(config.axi_bytes)),
                beat.last.eq(last),
            ]
        return waiting != 0
