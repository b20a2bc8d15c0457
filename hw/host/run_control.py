"""Run control: start, end, errors, orderly stop of the bus, and reset of everything else."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.host.register_map import Error
from hw.isa.instruction import Unit

#: Cycles that an ended run may take to drain the bus before it is called stuck.
DRAIN_CYCLES = 1 << 16

#: Unit number in the ERROR register of what is no unit's fault.
SEQUENCER = len(Unit)


class Control(wiring.Component):
    """One run: ``start`` to END, or to the first error.

    Then ``stop`` holds the DMA engines until ``quiet`` (or `DRAIN_CYCLES` have passed:
    ``stuck``), ``core_reset`` clears everything but registers for one cycle, and one of
    ``done_event`` and ``error_event`` pulses. A ``start`` that comes too early is remembered.

    Members
    -------
    start, abort : pulses. watchdog : limit in cycles, 0 for none.
    finished : the program is complete.
    faults[e] : for each `Error` e, one bit per unit and one for the sequencer.
    tag[u] : of each unit's oldest instruction and of the sequencer's.
    begin : pulse; fetch from here on, counters to zero. running : cycles of the run.
    """

    def __init__(self) -> None:
        sources = SEQUENCER + 1
        super().__init__(
            {
                "start": In(1),
                "abort": In(1),
                "watchdog": In(32),
                "finished": In(1),
                "faults": In(sources).array(len(Error)),
                "tag": In(8).array(sources),
                "quiet": In(1),
                "begin": Out(1),
                "running": Out(1),
                "stop": Out(1),
                "core_reset": Out(1),
                **dict.fromkeys(("busy", "done", "error", "stuck"), Out(1)),
                **dict.fromkeys(("code", "unit", "error_tag"), Out(8)),
                "done_event": Out(1),
                "error_event": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        wanted = Signal()
        cycles = Signal(33)
        failed, code, unit = Signal(), Signal(8), Signal(8)
        drain = Signal(range(DRAIN_CYCLES))
        self._first_fault(m, failed, code, unit, cycles)
        with m.If(self.start):
            m.d.sync += wanted.eq(1)
        with m.FSM() as fsm:
            with m.State("IDLE"), m.If(self.start | wanted):
                m.d.comb += self.begin.eq(1)
                m.d.sync += [wanted.eq(0), cycles.eq(0), self.code.eq(0), self.unit.eq(0)]
                m.d.sync += [self.done.eq(0), self.error.eq(0), self.stuck.eq(0)]
                m.d.sync += self.error_tag.eq(0)
                m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += self.running.eq(1)
                m.d.sync += [cycles.eq(cycles + 1), drain.eq(0)]
                with m.If(failed):
                    m.d.sync += [self.error.eq(1), self.code.eq(code), self.unit.eq(unit)]
                    with m.Switch(unit):
                        for u, tag in enumerate(self.tag):
                            with m.Case(u):
                                m.d.sync += self.error_tag.eq(tag)
                    m.next = "STOP"
                with m.Elif(self.finished):
                    m.d.sync += self.done.eq(1)
                    m.next = "STOP"
            with m.State("STOP"):
                m.d.comb += self.stop.eq(1)
                m.d.sync += drain.eq(drain + 1)
                with m.If(self.quiet | (drain == DRAIN_CYCLES - 1)):
                    m.d.sync += self.stuck.eq(~self.quiet)
                    m.next = "RESET"
            with m.State("RESET"):
                m.d.comb += [
                    self.stop.eq(1),
                    self.core_reset.eq(1),
                    self.done_event.eq(self.done),
                    self.error_event.eq(self.error),
                ]
                m.next = "IDLE"
        m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))
        return m

    def _first_fault(
        self, m: Module, failed: Signal, code: Signal, unit: Signal, cycles: Signal
    ) -> None:
        """The error to report of this cycle; a fault of a unit goes before abort and watchdog."""
        m.d.comb += [code.eq(Error.NONE), unit.eq(SEQUENCER), failed.eq(code != Error.NONE)]
        with m.If(self.abort):
            m.d.comb += code.eq(Error.ABORTED)
        with m.If(cycles + 1 == self.watchdog):
            m.d.comb += code.eq(Error.WATCHDOG)
        for error in reversed(Error):
            for u in reversed(range(SEQUENCER + 1)):
                with m.If(self.faults[error][u]):
                    m.d.comb += [code.eq(error), unit.eq(u)]
