"""Units, buffers, sequencer and bus of the accelerator: what the soft reset clears."""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.array.unit import ArrayUnit
from hw.attention.unit import AttentionUnit
from hw.buffers.activation import ActivationBuffer
from hw.buffers.logit import LogitBuffer
from hw.buffers.residual import ResidualBuffer, StatisticsBuffer
from hw.buffers.small import ConstantQueue, NormBuffer, OutBuffer
from hw.buffers.stream import StreamBuffer
from hw.buffers.value import ValueBuffer
from hw.bus.axi import AxiRead, AxiWrite
from hw.bus.read_arbiter import ReadArbiter
from hw.config import Config
from hw.dma.load_unit import LoadUnit
from hw.dma.store_unit import StoreUnit
from hw.host.register_map import Error
from hw.isa.instruction import Unit
from hw.norm.unit import NormUnit
from hw.sequencer.fetch import Fetch
from hw.sequencer.sequencer import Sequencer


class Core(wiring.Component):
    """Everything that the soft reset between runs clears.

    Members
    -------
    read, write : AXI4 masters. take, begin, stop, quiet : see `Control`.
    base, limit : window, constant during a run. offset, count : program, as of ``take``.
    faults[e] : per `Error`, a bit per unit and one for the sequencer. tag : per unit, sequencer.
    finished : the program is complete.
    start, done : a bit per unit that accepts, finishes an instruction. start_tag : its tag.
    event_<name> : increments of the counters; ``events`` maps name to width.
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
        self.events = self._events()
        sources = len(Unit) + 1
        load = self.units[Unit.LOAD]
        super().__init__(
            {
                "read": Out(AxiRead(config.axi_bytes)),
                "write": Out(AxiWrite(config.axi_bytes)),
                "take": In(1),
                "begin": In(1),
                "stop": In(1),
                "quiet": Out(1),
                "base": In(len(load.base)),
                "limit": In(len(load.limit)),
                "offset": In(32),
                "count": In(32),
                "faults": Out(sources).array(len(Error)),
                "tag": Out(8).array(sources),
                "finished": Out(1),
                "start": Out(len(Unit)),
                "done": Out(len(Unit)),
                "start_tag": Out(8).array(len(Unit)),
                **{f"event_{name}": Out(width) for name, width in self.events.items()},
            }
        )

    def _events(self) -> dict[str, int]:
        events = {
            "macs": len(self.units[Unit.ARRAY].macs),
            "instructions": 1,
            "read_bytes": self.config.axi_bytes.bit_length(),
            "write_bytes": self.config.axi_bytes.bit_length(),
        }
        for u, unit in self.units.items():
            name = u.name.lower()
            events[f"{name}_busy"] = 1
            for cause in unit.stall.shape().members:
                events[f"{name}_stall_{cause}"] = 1
            for p in Unit:
                if p is not u:
                    events[f"{name}_wait_{p.name.lower()}"] = 1
            events[f"{name}_starved"] = 1
        return events

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        for u, unit in self.units.items():
            m.submodules[u.name.lower()] = unit
        self._connect_buffers(m)
        self._connect_bus(m)
        self._connect_sequencer(m)
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
        for unit in (load, store, fetch):
            m.d.comb += [
                unit.stop.eq(self.stop),
                unit.base.eq(self.base),
                unit.limit.eq(self.limit),
            ]
        m.d.comb += [
            fetch.prepare.eq(self.take),
            fetch.start.eq(self.begin),
            fetch.offset.eq(self.offset),
            fetch.count.eq(self.count),
            self.quiet.eq(load.quiet & store.quiet & fetch.quiet),
        ]

    def _connect_sequencer(self, m: Module) -> None:
        fetch = self.fetch
        m.submodules.sequencer = sequencer = Sequencer(self.config)
        connect(m, fetch.o, sequencer.i)
        m.d.comb += [
            sequencer.ended.eq(fetch.ended),
            self.finished.eq(sequencer.finished),
            sequencer.unit_busy.eq(Cat(unit.busy for unit in self.units.values())),
            sequencer.done.eq(self.done),
            self.done.eq(Cat(unit.done for unit in self.units.values())),
            self.start.eq(sequencer.start),
            *(self.start_tag[u].eq(sequencer.start_tag[u]) for u in Unit),
            *(self.tag[u].eq(sequencer.tag[u]) for u in Unit),
            self.tag[len(Unit)].eq(sequencer.illegal_tag),
            self.event_macs.eq(self.units[Unit.ARRAY].macs),
            self.event_instructions.eq(sequencer.dispatched),
            self.event_read_bytes[-1].eq(self.read.r.valid & self.read.r.ready),
            self.event_write_bytes[-1].eq(self.write.w.valid & self.write.w.ready),
        ]
        load, store = self.units[Unit.LOAD], self.units[Unit.STORE]
        self._faults(m, Error.ILLEGAL_INSTRUCTION, {len(Unit): sequencer.illegal})
        overflow = Signal()  # a cycle later: else the longest path of all ends here
        m.d.sync += overflow.eq(sequencer.overflow)
        self._faults(m, Error.SEMAPHORE_OVERFLOW, {len(Unit): overflow})
        self._faults(m, Error.ILLEGAL_ADDRESS, {u: unit.fault for u, unit in self.units.items()})
        self._faults(
            m,
            Error.OUTSIDE_WINDOW,
            {
                Unit.LOAD: load.window_fault,
                Unit.STORE: store.window_fault,
                len(Unit): fetch.window_fault,
            },
        )
        self._faults(m, Error.AXI_READ, {Unit.LOAD: load.bus_fault, len(Unit): fetch.bus_fault})
        self._faults(m, Error.AXI_WRITE, {Unit.STORE: store.bus_fault})
        for u, unit in self.units.items():
            name = u.name.lower()
            out = getattr(sequencer, f"o_{name}")
            m.d.comb += [
                unit.instr.p.eq(out.p),
                unit.instr.valid.eq(out.valid),
                out.ready.eq(unit.instr.ready),
                self.event(f"{name}_busy").eq(unit.busy),
                self.event(f"{name}_starved").eq(sequencer.starved[u]),
            ]
            for cause in unit.stall.shape().members:
                m.d.comb += self.event(f"{name}_stall_{cause}").eq(unit.stall[cause])
            for p in Unit:
                if p is not u:
                    m.d.comb += self.event(f"{name}_wait_{p.name.lower()}").eq(
                        sequencer.missing[u][p]
                    )

    def event(self, name: str) -> Any:
        """The output of one counter's increment."""
        return getattr(self, f"event_{name}")

    def _faults(self, m: Module, error: Error, sources: Mapping[int, Any]) -> None:
        for source, fault in sources.items():
            m.d.comb += self.faults[error][source].eq(fault)
