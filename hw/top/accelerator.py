"""The accelerator: core, registers, run control and counters behind standard AXI ports."""

from typing import Any

from amaranth.hdl import Cat, ClockDomain, ClockSignal, DomainRenamer, Module, ResetSignal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect

from hw.bus.axi import CONSTANTS, AxiLite, AxiRead, AxiWrite
from hw.bus.dma_port import WindowPort
from hw.bus.pins import connect_pins, constant_members, drive_constants, pin_members
from hw.config import Config
from hw.host.counters import Counters
from hw.host.ports import (
    CommandPort,
    CountPort,
    PlacePort,
    ProgramPort,
    RunPort,
    StatusPort,
    VerdictPort,
)
from hw.host.registers import Registers
from hw.host.run_control import Control
from hw.host.run_window import RunWindow
from hw.isa.instruction import Unit
from hw.lib.facet import Facet
from hw.top.core import Core
from hw.top.events import counter_widths


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
        widths = {"cycles": 1, **counter_widths(self.core.events.shape())}
        self.counters = tuple(widths)
        self.registers = Registers(config, self.counters)
        self.map = self.registers.map
        self.totals = Counters(widths)
        pins = {"addr": config.axi_addr_bits, "id": config.axi_id_bits}
        super().__init__(
            {
                "irq": Out(1),
                "trace_start": Out(len(Unit) + 1),
                "trace_done": Out(len(Unit) + 1),
                "trace_start_tag": Out(8 * len(Unit)),
                "trace_done_tag": Out(8 * len(Unit)),
                **pin_members("s_axil", AxiLite().flip()),
                **pin_members("m_axi", AxiRead(config.axi_bytes), pins),
                **pin_members("m_axi", AxiWrite(config.axi_bytes), pins),
                **constant_members("m_axi", CONSTANTS),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        core, registers, counters = self.core, self.registers, self.totals
        m.submodules.registers = registers
        m.submodules.control = control = Control()
        m.submodules.window = window = RunWindow(self.config)
        m.submodules.counters = counters
        m.domains.core = domain = ClockDomain(local=True)
        m.submodules.core = DomainRenamer("core")(core)
        m.d.comb += [
            domain.clk.eq(ClockSignal("sync")),
            domain.rst.eq(ResetSignal("sync") | control.core_reset),
        ]
        self._connect_run(m, control, window)
        count = CountPort(range(len(self.counters)))
        connect(m, Facet(registers, count), Facet(counters, count.flip()))
        connect_pins(m, self, "s_axil", registers.bus)
        connect_pins(m, self, "m_axi", core.read)
        connect_pins(m, self, "m_axi", core.write)
        attributes = {"prot": self.config.axi_prot, "cache": self.config.axi_cache}
        drive_constants(m, self, "m_axi", dict.fromkeys(CONSTANTS, 0) | attributes)
        events = core.events.as_value()
        m.d.comb += [
            self.irq.eq(registers.irq),
            counters.clear.eq(control.take),
            counters.inc.eq(Cat(control.running, events & control.running.replicate(len(events)))),
            self.trace_start.eq(Cat(core.start, control.begin)),
            self.trace_done.eq(Cat(core.done, core.finished & control.running)),
            self.trace_start_tag.eq(Cat(core.start_tag[u] for u in Unit)),
            self.trace_done_tag.eq(Cat(core.tag[u] for u in Unit)),
        ]
        return m

    def _connect_run(self, m: Module, control: Control, window: RunWindow) -> None:
        """Registers, run control, window and core: who starts, bounds, ends and reports a run."""
        core, registers = self.core, self.registers
        for source, sink, port in (
            (registers, control, CommandPort()),
            (control, registers, StatusPort()),
            (registers, window, PlacePort()),
            (window, control, VerdictPort()),
            (window, core, WindowPort()),
            (registers, core, ProgramPort()),
            (control, core, RunPort()),
        ):
            connect(m, Facet(source, port), Facet(sink, port.flip()))
