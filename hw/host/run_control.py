"""Run control: start, end, errors, orderly stop of the bus, and reset of everything else."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
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

    ``take`` keeps the window and the program's place, ``begin`` follows two cycles later unless
    they are illegal: then the run ends before its first cycle. At the end of a run ``stop`` holds
    the DMA engines until ``quiet`` (or `DRAIN_CYCLES` have passed: ``stuck``), ``core_reset``
    clears everything but registers for one cycle, and one of ``done_event`` and ``error_event``
    pulses. A ``start`` that comes too early is remembered; an ``abort`` ends the run that goes on,
    never the one that a ``start`` of the same cycle asks for.

    Members
    -------
    start, abort : pulses. watchdog : limit in cycles, 0 for none; may change during a run.
    illegal_window, illegal_program : verdicts in the cycle after ``take``.
    finished : the program is complete.
    faults[e] : for each `Error` e, one bit per unit and one for the sequencer.
    tag[u] : of each unit's oldest instruction and of the sequencer's.
    take : pulse; a run is about to begin, counters to zero. begin : pulse; fetch from here on.
    running : cycles of the run.
    code, unit, error_tag : first error of the run; last_* : of the run before it.
    """

    def __init__(self) -> None:
        sources = SEQUENCER + 1
        names = ("code", "unit", "error_tag")
        super().__init__(
            {
                "start": In(1),
                "abort": In(1),
                "watchdog": In(32),
                "illegal_window": In(1),
                "illegal_program": In(1),
                "finished": In(1),
                "faults": In(sources).array(len(Error)),
                "tag": In(8).array(sources),
                "quiet": In(1),
                "take": Out(1),
                "begin": Out(1),
                "running": Out(1),
                "stop": Out(1),
                "core_reset": Out(1),
                **dict.fromkeys(("busy", "done", "error", "stuck"), Out(1)),
                **{prefix + name: Out(8) for prefix in ("", "last_") for name in names},
                "done_event": Out(1),
                "error_event": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
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
                    m.d.sync += [self.error.eq(1), self.code.eq(refused), self.unit.eq(SEQUENCER)]
                    m.next = "STOP"
            with m.State("RUN"):
                m.d.comb += self.running.eq(1)
                m.d.sync += cycle.eq(cycle + ~cycle[-1])
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

    def _take(self, m: Module) -> None:
        """A run is about to begin: its status is clear, and the error of the last one is kept."""
        m.d.comb += self.take.eq(1)
        m.d.sync += [self.done.eq(0), self.error.eq(0), self.stuck.eq(0)]
        for name in ("code", "unit", "error_tag"):
            present, last = getattr(self, name), getattr(self, f"last_{name}")
            m.d.sync += [last.eq(present), present.eq(0)]

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
