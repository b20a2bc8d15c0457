"""Units, buffers, sequencer and bus of the accelerator: what the soft reset clears."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect, flipped

from golden.ops.psmac import MacMode
from hw.array.unit import ArrayUnit
from hw.attention.unit import AttentionUnit
from hw.buffers.activation import ActivationBuffer
from hw.buffers.logit import LogitBuffer
from hw.buffers.residual import ResidualBuffer, StatisticsBuffer
from hw.buffers.small import ConstantQueue, NormBuffer, OutBuffer
from hw.buffers.stream import StreamBuffer
from hw.buffers.value import ValueBuffer
from hw.bus.axi import AxiRead, AxiWrite
from hw.bus.dma_port import WindowPort
from hw.bus.read_arbiter import ReadArbiter
from hw.config import Config
from hw.dma.load_unit import LoadUnit
from hw.dma.store_unit import StoreUnit
from hw.host.ports import SEQUENCER, ProgramPort, RunPort
from hw.host.register_map import Error
from hw.isa.instruction import Unit
from hw.lib.facet import Facet
from hw.lib.unit_port import IssuePort
from hw.norm.unit import NormUnit
from hw.sequencer.fetch import Fetch
from hw.sequencer.sequencer import Sequencer
from hw.top.events import event_layout


class Core(wiring.Component):
    """Everything that the soft reset between runs clears.

    Members
    -------
    read, write : AXI4 masters.
    `RunPort` : with run control. `WindowPort`, `ProgramPort` : what to run, and where; the program
        as of ``take``.
    start, done : a bit per unit that accepts, finishes an instruction. start_tag : its tag.
    events : increments of the counters (`event_layout`).
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.units: dict[Unit, Any] = {
            Unit.LOAD: LoadUnit(config),
            Unit.ARRAY: ArrayUnit(config),
            Unit.NORM: NormUnit(config),
            Unit.ATTN: AttentionUnit(config),
            Unit.STORE: StoreUnit(config),
        }
        events = event_layout(
            config,
            len(self.units[Unit.ARRAY].macs),
            {u: unit.stall.shape() for u, unit in self.units.items()},
        )
        super().__init__(
            {
                "read": Out(AxiRead(config.axi_bytes)),
                "write": Out(AxiWrite(config.axi_bytes)),
                **RunPort().flip().members,
                **WindowPort().flip().members,
                **ProgramPort().flip().members,
                "start": Out(len(Unit)),
                "done": Out(len(Unit)),
                "start_tag": Out(8).array(len(Unit)),
                "events": Out(events),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        for u, unit in self.units.items():
            m.submodules[u.name.lower()] = unit
        self._connect_buffers(m)
        self._connect_bus(m)
        self._connect_sequencer(m)
        self._report_faults(m)
        self._count_events(m)
        return m

    def _connect_buffers(self, m: Module) -> None:
        config = self.config
        load, array = self.units[Unit.LOAD], self.units[Unit.ARRAY]
        norm, attn, store = self.units[Unit.NORM], self.units[Unit.ATTN], self.units[Unit.STORE]

        m.submodules.activation = activation = ActivationBuffer(config)
        connect(m, array.a_read, activation.read)
        connect(m, store.act_read, activation.store_read)
        connect(m, array.act_write, activation.drain_write)
        connect(m, attn.act_write, activation.attn_write)
        connect(m, norm.act_write, activation.norm_write)
        connect(m, load.act_write, activation.load_write)

        m.submodules.stream = stream = StreamBuffer(config)
        connect(m, array.w_read, stream.read)
        if config.precision.has(MacMode.W4A4):
            connect(m, array.a_next, activation.next)
            connect(m, array.w_next, stream.next)
        connect(m, store.stream_read, stream.store_read)
        connect(m, array.key_write, stream.key_write)
        connect(m, load.stream_write, stream.load_write)

        m.submodules.value = value = ValueBuffer(config)
        connect(m, attn.value_read, value.read)
        connect(m, store.value_read, value.store_read)
        connect(m, array.value_write, value.drain_write)

        m.submodules.logit = logit = LogitBuffer(config)
        connect(m, attn.logit_read, logit.read)
        connect(m, store.logit_read, logit.store_read)
        connect(m, array.logit_write, logit.drain_write)
        connect(m, attn.code_write, logit.code_write)
        connect(m, array.max_write, logit.max_write)
        connect(m, attn.max_read, logit.max_read)

        m.submodules.residual = residual = ResidualBuffer(config)
        connect(m, array.res_read, residual.drain_read)
        connect(m, norm.res_read, residual.norm_read)
        connect(m, store.residual_read, residual.store_read)
        connect(m, array.res_write, residual.drain_write)
        connect(m, load.residual_write, residual.load_write)

        sums = array.stat_read.data.shape()
        m.submodules.statistics = statistics = StatisticsBuffer(config, sums)
        connect(m, array.stat_read, statistics.drain_read)
        connect(m, norm.stat_read, statistics.norm_read)
        connect(m, array.stat_write, statistics.drain_write)

        m.submodules.out = out = OutBuffer(config)
        connect(m, store.out_read, out.store_read)
        connect(m, array.out_write, out.drain_write)

        m.submodules.norm_parameters = norms = NormBuffer(config)
        connect(m, norm.alpha_read, norms.alpha_read)
        connect(m, norm.gain_read, norms.gain_read)
        connect(m, load.norm_write, norms.load_write)

        m.submodules.constants = constants = ConstantQueue(config)
        connect(m, load.const, constants.i)
        connect(m, constants.o, array.const)
        m.d.comb += [
            array.const_level.eq(constants.level),
            load.const_room.eq(constants.room),
        ]
        connect(m, load.gelu_write, array.gelu_load)

    def _connect_bus(self, m: Module) -> None:
        load, store = self.units[Unit.LOAD], self.units[Unit.STORE]
        m.submodules.fetch = self.fetch = fetch = Fetch(self.config)
        m.submodules.arbiter = arbiter = ReadArbiter(self.config)
        connect(m, fetch.axi, arbiter.fetch)
        connect(m, load.axi, arbiter.load)
        connect(m, arbiter.bus, flipped(self.read))
        connect(m, store.axi, flipped(self.write))
        masters, window = (load, store, fetch), WindowPort().flip()
        connect(m, flipped(Facet(self, window)), *(Facet(unit, window) for unit in masters))
        m.d.comb += [
            *(unit.stop.eq(self.stop) for unit in masters),
            fetch.prepare.eq(self.take),
            fetch.start.eq(self.begin),
            fetch.offset.eq(self.program_offset),
            fetch.count.eq(self.program_count),
            self.quiet.eq(Cat(unit.quiet for unit in masters).all()),
        ]

    def _connect_sequencer(self, m: Module) -> None:
        fetch = self.fetch
        m.submodules.sequencer = self.sequencer = sequencer = Sequencer(self.config)
        connect(m, fetch.o, sequencer.i)
        for u, unit in self.units.items():
            port = IssuePort(unit.instr.payload.shape())
            connect(m, sequencer.issue[u], Facet(unit, port.flip()))
        m.d.comb += [
            sequencer.ended.eq(fetch.ended),
            self.finished.eq(sequencer.finished),
            self.done.eq(Cat(unit.done for unit in self.units.values())),
            self.start.eq(sequencer.start),
            *(self.start_tag[u].eq(sequencer.start_tag[u]) for u in Unit),
            *(self.tag[u].eq(sequencer.tag[u]) for u in Unit),
            self.tag[SEQUENCER].eq(sequencer.illegal_tag),
        ]

    def _report_faults(self, m: Module) -> None:
        """Every error's sources; those that nobody names stay low."""
        load, store = self.units[Unit.LOAD], self.units[Unit.STORE]
        fetch, sequencer = self.fetch, self.sequencer
        overflow = Signal()  # a cycle later: else the longest path of all ends here
        m.d.sync += overflow.eq(sequencer.overflow)
        sources: dict[Error, dict[int, Any]] = {
            Error.ILLEGAL_INSTRUCTION: {SEQUENCER: sequencer.illegal},
            Error.ILLEGAL_ADDRESS: {u: unit.fault for u, unit in self.units.items()},
            Error.OUTSIDE_WINDOW: {
                Unit.LOAD: load.window_fault,
                Unit.STORE: store.window_fault,
                SEQUENCER: fetch.window_fault,
            },
            Error.AXI_READ: {Unit.LOAD: load.bus_fault, SEQUENCER: fetch.bus_fault},
            Error.AXI_WRITE: {Unit.STORE: store.bus_fault},
            Error.SEMAPHORE_OVERFLOW: {SEQUENCER: overflow},
        }
        for error, faults in sources.items():
            m.d.comb += [self.faults[error][source].eq(fault) for source, fault in faults.items()]

    def _count_events(self, m: Module) -> None:
        sequencer, events = self.sequencer, self.events
        m.d.comb += [
            events.macs.eq(self.units[Unit.ARRAY].macs),
            events.instructions.eq(sequencer.dispatched),
            events.read_bytes[-1].eq(self.read.r.valid & self.read.r.ready),
            events.write_bytes[-1].eq(self.write.w.valid & self.write.w.ready),
        ]
        for u, unit in self.units.items():
            mine = events[u.name.lower()]
            m.d.comb += [
                mine.busy.eq(unit.busy),
                mine.stall.eq(unit.stall),
                mine["wait"].eq(Cat(sequencer.missing[u][p] for p in Unit if p is not u)),
                mine.starved.eq(sequencer.starved[u]),
            ]
