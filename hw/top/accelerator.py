"""The accelerator: core, registers, run control and counters behind standard AXI ports."""

from typing import Any

from amaranth.hdl import Cat, ClockDomain, ClockSignal, DomainRenamer, Module, ResetSignal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.bus.axi import CONSTANTS, AxiLite, AxiRead, AxiWrite
from hw.config import Config
from hw.host.counters import Counters
from hw.host.register_map import Error
from hw.host.registers import Registers
from hw.host.run_control import Control
from hw.host.run_window import RunWindow
from hw.isa.instruction import Unit
from hw.top.core import Core


class Potvit(wiring.Component):
    """The accelerator of ``config``.

    Members
    -------
    s_axil_* : AXI4-Lite slave (registers). m_axi_* : AXI4 master. irq : interrupt, level high.
    The names are those of the AXI specification, so they survive as the Verilog ports.
    m_axi_ar*, m_axi_aw* with prot, cache : constants of ``config``; with lock, qos : 0. IDs and
        addresses of m_axi are as wide as ``config`` says.
    trace_start, trace_done : for a logic analyser; bit u pulses when unit u accepts, finishes an
        instruction, bit 5 in the cycle before the run's first, in its last (END reached).
    trace_start_tag, trace_done_tag : byte u is the tag of that instruction (layer + 1).

    ``counters`` names the 64-bit counters in register order, ``map`` holds the registers.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.core = Core(config)
        self.counters = ("cycles", *self.core.events)
        self.registers = Registers(config, self.counters)
        self.map = self.registers.map
        self.buses = {
            "s_axil": (AxiLite().flip(),),
            "m_axi": (AxiRead(config.axi_bytes), AxiWrite(config.axi_bytes)),
        }
        flat: dict[str, Any] = {
            "irq": Out(1),
            "trace_start": Out(len(Unit) + 1),
            "trace_done": Out(len(Unit) + 1),
            "trace_start_tag": Out(8 * len(Unit)),
            "trace_done_tag": Out(8 * len(Unit)),
        }
        for prefix, signatures in self.buses.items():
            for signature in signatures:
                flat |= _flat(prefix, signature)
        for channel in ("ar", "aw"):
            flat |= {f"m_axi_{channel}{name}": Out(bits) for name, bits in CONSTANTS.items()}
            flat[f"m_axi_{channel}addr"] = Out(config.axi_addr_bits)
            flat[f"m_axi_{channel}id"] = Out(config.axi_id_bits)
        flat |= {f"m_axi_{channel}id": In(config.axi_id_bits) for channel in ("r", "b")}
        super().__init__(flat)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        core, registers = self.core, self.registers
        m.submodules.registers = registers
        m.submodules.control = control = Control()
        m.submodules.window = window = RunWindow(self.config)
        m.submodules.counters = counters = Counters({"cycles": 1, **core.events})
        m.domains.core = domain = ClockDomain(local=True)
        m.submodules.core = DomainRenamer("core")(core)
        m.d.comb += [
            domain.clk.eq(ClockSignal("sync")),
            domain.rst.eq(ResetSignal("sync") | control.core_reset),
        ]

        self._pins(m, "s_axil", registers.bus)
        self._pins(m, "m_axi", core.read)
        self._pins(m, "m_axi", core.write)
        for channel in ("ar", "aw"):
            m.d.comb += [
                getattr(self, f"m_axi_{channel}prot").eq(self.config.axi_prot),
                getattr(self, f"m_axi_{channel}cache").eq(self.config.axi_cache),
            ]
        m.d.comb += [
            self.irq.eq(registers.irq),
            control.start.eq(registers.start),
            control.abort.eq(registers.abort),
            control.watchdog.eq(registers.watchdog),
            control.finished.eq(core.finished),
            control.quiet.eq(core.quiet),
            *(control.faults[e].eq(core.faults[e]) for e in Error),
            *(control.tag[i].eq(tag) for i, tag in enumerate(core.tag)),
            control.illegal_window.eq(window.illegal_window),
            control.illegal_program.eq(window.illegal_program),
            window.take.eq(control.take),
            window.window_base.eq(registers.window_base),
            window.window_size.eq(registers.window_size),
            window.program_offset.eq(registers.program_offset),
            core.take.eq(control.take),
            core.begin.eq(control.begin),
            core.stop.eq(control.stop),
            core.base.eq(window.base),
            core.limit.eq(window.limit),
            core.offset.eq(registers.program_offset),
            core.count.eq(registers.program_count),
            registers.busy.eq(control.busy),
            registers.done.eq(control.done),
            registers.error.eq(control.error),
            registers.stuck.eq(control.stuck),
            registers.code.eq(control.code),
            registers.unit.eq(control.unit),
            registers.tag.eq(control.error_tag),
            registers.last_code.eq(control.last_code),
            registers.last_unit.eq(control.last_unit),
            registers.last_tag.eq(control.last_error_tag),
            registers.done_event.eq(control.done_event),
            registers.error_event.eq(control.error_event),
            counters.clear.eq(control.take),
            counters.index.eq(registers.count_index),
            counters.read.eq(registers.count_read),
            registers.count_valid.eq(counters.valid),
            registers.count_total.eq(counters.total),
            counters.inc_0.eq(control.running),
            self.trace_start.eq(Cat(core.start, control.begin)),
            self.trace_done.eq(Cat(core.done, core.finished & control.running)),
            self.trace_start_tag.eq(Cat(core.start_tag[u] for u in Unit)),
            self.trace_done_tag.eq(Cat(core.tag[u] for u in Unit)),
        ]
        for i, name in enumerate(core.events, 1):
            event = core.event(name)
            m.d.comb += getattr(counters, f"inc_{i}").eq(event & control.running.replicate(64))
        return m

    def _pins(self, m: Module, prefix: str, bus: Any) -> None:
        """Connect the channels of ``bus`` to the flat ports."""
        for channel, member in bus.signature.members.items():
            inward = member.flow == In
            port = getattr(bus, channel)
            pairs = {name: port.payload[name] for name in port.payload.shape().members}
            pairs["valid"] = port.valid
            for name, inner in pairs.items():
                pin = getattr(self, f"{prefix}_{channel}{name}")
                m.d.comb += inner.eq(pin) if inward else pin.eq(inner)
            ready = getattr(self, f"{prefix}_{channel}ready")
            m.d.comb += ready.eq(port.ready) if inward else port.ready.eq(ready)


def _flat(prefix: str, signature: wiring.Signature) -> dict[str, Any]:
    """Flat members ``<prefix>_<channel><signal>`` of a bundle of streams."""
    members = {}
    for channel, member in signature.members.items():
        forth, back = (In, Out) if member.flow == In else (Out, In)
        payload = member.signature.members["payload"].shape
        for name, field in payload.members.items():
            members[f"{prefix}_{channel}{name}"] = forth(field)
        members[f"{prefix}_{channel}valid"] = forth(1)
        members[f"{prefix}_{channel}ready"] = back(1)
    return members
