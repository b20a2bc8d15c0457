"""LOAD unit: AXI4 reads into the on-chip memories, token runs included."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.bus.axi import AxiRead
from hw.bus.dma_port import MasterPort
from hw.config import Config
from hw.dma.load_writer import (
    CONST,
    GATHER,
    GELU,
    MEMORIES,
    NORM,
    STREAM,
    LoadWriter,
    job_layout,
    write_members,
)
from hw.dma.read_issuer import ReadIssuer
from hw.dma.token_walk import run_legal
from hw.isa.instruction import Mem, Op
from hw.isa.layouts import payload_layout
from hw.isa.limits import LOAD_AHEAD
from hw.lib.facet import Facet
from hw.lib.register_queue import RegisterQueue
from hw.lib.unit_port import UnitPort, either_layout

STALLS = data.StructLayout({"no_instr": 1, "bus": 1, "const_room": 1, "write": 1})


def load_instr_layout() -> data.StructLayout:
    """``payload`` is that of GATHER if ``gather``, else that of LOAD."""
    return either_layout("gather")


class LoadUnit(wiring.Component):
    """Executes LOAD and GATHER instructions (docs/architecture.md).

    Bursts are issued ahead of the data, up to `LOAD_AHEAD` instructions and ``outstanding`` bursts.
    One beat per cycle into words as wide as the bus or wider, one word per cycle into narrower
    ones. Bursts of position constants wait until the FIFO can hold them, so data never do.

    Members
    -------
    `UnitPort`, `MasterPort` and ``axi``.
    const_room : free rows in the constant FIFO, a push counted the cycle after.
    done : pulses the cycle after an instruction's last write transfer.
    fault : illegal destination, address, alignment or length. Like ``window_fault`` and
        ``bus_fault`` it stays until reset; the unit then acts as stopped.
    stop : start nothing more and drop data, from the next cycle on.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(
            {
                **UnitPort(load_instr_layout(), STALLS).members,
                **MasterPort().members,
                "axi": Out(AxiRead(config.axi_bytes)),
                "const_room": In(range(config.const_rows + 1)),
                **write_members(config),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config, axi = self.config, self.axi
        m.submodules.issuer = issuer = ReadIssuer(config)
        m.submodules.jobs = jobs = RegisterQueue(job_layout(), LOAD_AHEAD)
        m.submodules.writer = writer = LoadWriter(config)
        wiring.connect(m, jobs.o, writer.job)
        wiring.connect(m, issuer.ar, wiring.flipped(axi.ar))
        wiring.connect(m, wiring.flipped(axi.r), writer.r)
        writes = wiring.Signature(write_members(config))
        wiring.connect(m, Facet(writer, writes), wiring.flipped(Facet(self, writes)))

        halted, illegal, broken = Signal(), Signal(), Signal()
        legal, unit = self._decode(m)
        instr = self.instr.p
        load = data.View(payload_layout(Op.LOAD), instr.as_value())
        run = data.View(payload_layout(Op.GATHER), instr.as_value())
        ranges = issuer.i.p.ranges
        take = self.instr.valid & self.instr.ready
        m.d.comb += [
            self.instr.ready.eq(issuer.i.ready & jobs.i.ready & ~halted),
            issuer.base.eq(self.base),
            issuer.limit.eq(self.limit),
            issuer.i.valid.eq(take & legal),
            ranges.offset.eq(Mux(instr.gather, run.dram, load.dram)),
            ranges.beats.eq(Mux(instr.gather, run.beats, load.beats)),
            ranges.runs.eq(Mux(instr.gather, run.runs, 1)),
            ranges.pitch.eq(run.pitch),
            issuer.i.p.constant.eq(unit == CONST),
            jobs.i.valid.eq(take & legal),
            jobs.i.p.unit.eq(unit),
            jobs.i.p.payload.eq(instr.payload),
            issuer.stop.eq(halted),
            issuer.ended.eq(axi.r.valid & axi.r.ready & axi.r.p.last),
            issuer.const_room.eq(self.const_room),
            issuer.const_freed.eq(writer.freed),
            writer.drain.eq(halted),
            self.done.eq(writer.done),
            self.busy.eq(writer.active | jobs.o.valid | ~issuer.idle | issuer.pending),
            self.quiet.eq(halted & ~issuer.pending),
            self.window_fault.eq(issuer.outside),
            self.fault.eq(illegal | issuer.misaligned),
            self.bus_fault.eq(broken),
            self.stall.no_instr.eq(~self.busy & ~self.instr.valid),
            self.stall.const_room.eq(issuer.starved & ~issuer.pending),
            self.stall.bus.eq(writer.starved & issuer.pending),
            self.stall.write.eq(writer.blocked),
        ]
        # A register: it decides about writes that others wait for.
        m.d.sync += halted.eq(self.stop | self.fault | self.window_fault | self.bus_fault)
        with m.If((take & ~legal) | writer.illegal):
            m.d.sync += illegal.eq(1)
        with m.If(writer.bus_fault):
            m.d.sync += broken.eq(1)
        return m

    def _decode(self, m: Module) -> tuple[Signal, Signal]:
        """Legality and destination of the instruction offered."""
        config, instr = self.config, self.instr.p
        load = data.View(payload_layout(Op.LOAD), instr.as_value())
        run = data.View(payload_layout(Op.GATHER), instr.as_value())
        legal, unit = Signal(), Signal(range(5))
        words = {STREAM: config.stream_words, NORM: config.norm_words, GELU: 256, CONST: 2 << 16}
        with m.If(instr.gather):
            banks = Mux(run.mem == Mem.ACT, config.rows, 1)
            inside = (run.bank < banks) & (run.line_bank < banks)
            memory = (run.mem == Mem.ACT) | (run.mem == Mem.RESIDUAL)
            m.d.comb += [unit.eq(GATHER), legal.eq(run_legal(run, config) & memory & inside)]
        with m.Else(), m.Switch(load.dest):
            for index, memory in MEMORIES.items():
                with m.Case(memory):
                    fits = load.addr + load.words <= words[index]
                    m.d.comb += [unit.eq(index), legal.eq((load.words != 0) & fits)]
        return legal, unit
