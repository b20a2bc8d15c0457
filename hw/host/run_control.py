"""Run control: start, end, errors, orderly stop of the bus, and reset of everything else."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from hw.host.ports import SEQUENCER, CommandPort, RunPort, StatusPort, VerdictPort
from hw.host.register_map import Error

#: Cycles that an ended run may take to drain the bus before it is called stuck.
DRAIN_CYCLES = 1 << 16


class Control(wiring.Component):
    """One run: ``start`` to END, or to the first error.

    ``take`` keeps the window and the program's place, ``begin`` follows two cycles later unless
    they are illegal: then the run ends before its first cycle. At the end of a run ``stop`` holds
    the DMA engines until ``quiet`` (or `DRAIN_CYCLES` have passed: ``stuck``), ``core_reset``
    clears everything but registers for one cycle, and one of ``done_event`` and ``error_event``
    pulses. A ``start`` that comes too early is remembered; an ``abort`` ends the run that goes on,
    never the one that a ``start`` of the same cycle asks for.

    Members
    -------
    `CommandPort`, `StatusPort` : with the registers. `VerdictPort` : with the window.
    `RunPort` : with the core; counters go to zero with ``take``.
    running : cycles of the run. core_reset : clear the core.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                **CommandPort().flip().members,
                **VerdictPort().flip().members,
                **RunPort().members,
                **StatusPort().members,
                "running": Out(1),
                "core_reset": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        report = self.report
        wanted, aborting = Signal(), Signal()
        cycle = Signal(33)  # number of the present one; stays at 2**32
        failed, code, unit = Signal(), Signal(8), Signal(8)
        refused = Signal(8)
        drain = Signal(range(DRAIN_CYCLES))
        self._first_fault(m, failed, code, unit, cycle, aborting)
        with m.If(self.start):
            m.d.sync += wanted.eq(1)
        with m.FSM() as fsm:
            with m.State("IDLE"), m.If(self.start | wanted):
                self._take(m)
                # An abort finds a run only if an earlier cycle asked for it.
                m.d.sync += [
                    wanted.eq(wanted & self.start & self.abort),
                    aborting.eq(wanted & self.abort),
                ]
                m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += refused.eq(
                    Mux(
                        self.illegal_window,
                        Error.ILLEGAL_WINDOW,
                        Mux(self.illegal_program, Error.ILLEGAL_PROGRAM, Error.NONE),
                    )
                )
                m.d.sync += [cycle.eq(1), aborting.eq(aborting | self.abort)]
                m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.sync += [drain.eq(0), aborting.eq(aborting | self.abort)]
                m.d.comb += self.begin.eq(refused == Error.NONE)
                m.next = "RUN"
                with m.If(~self.begin):
                    m.d.sync += [self.error.eq(1), report.code.eq(refused)]
                    m.d.sync += report.unit.eq(SEQUENCER)
                    m.next = "STOP"
            with m.State("RUN"):
                m.d.comb += self.running.eq(1)
                m.d.sync += cycle.eq(cycle + ~cycle[-1])
                with m.If(failed):
                    m.d.sync += [self.error.eq(1), report.code.eq(code), report.unit.eq(unit)]
                    with m.Switch(unit):
                        for u, tag in enumerate(self.tag):
                            with m.Case(u):
                                m.d.sync += report.tag.eq(tag)
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

    def _take(self, m: Module) -> None:
        """A run is about to begin: its status is clear, and the error of the last one is kept."""
        m.d.comb += self.take.eq(1)
        m.d.sync += [self.done.eq(0), self.error.eq(0), self.stuck.eq(0)]
        m.d.sync += [self.last_report.eq(self.report), self.report.eq(0)]

    def _first_fault(
        self, m: Module, failed: Signal, code: Signal, unit: Signal, cycle: Signal,
        aborting: Signal,
    ) -> None:  # fmt: skip
        """The error to report of this cycle; a fault of a unit goes before abort and watchdog."""
        m.d.comb += [code.eq(Error.NONE), unit.eq(SEQUENCER), failed.eq(code != Error.NONE)]
        with m.If(self.abort | aborting):
            m.d.comb += code.eq(Error.ABORTED)
        with m.If((self.watchdog != 0) & (cycle >= self.watchdog)):
            m.d.comb += code.eq(Error.WATCHDOG)
        for error in sorted(set(Error) - {Error.NONE}, reverse=True):
            for u in reversed(range(SEQUENCER + 1)):
                with m.If(self.faults[error][u]):
                    m.d.comb += [code.eq(error), unit.eq(u)]
