"""Run control: every run ends once, told once, and no start is lost."""

from typing import Any

from amaranth.hdl import Cat, Signal

from formal.kit.proof import Bench, Mutant, Proof
from hw.host.ports import SEQUENCER
from hw.host.register_map import Error
from hw.host.run_control import Control


class RunControlProof(Proof):
    """Order of a run's phases, one event a run, errors that stay, starts that are remembered."""

    unit = "run_control"
    target = Control
    reach = 14
    mutants = (
        Mutant(old="self.done_event.eq(self.done)", new="self.done_event.eq(1)"),
        Mutant(old="with m.If(self.start):\n            m.d.sync += wanted.eq(1)",
               new="with m.If(self.start & ~self.busy):\n            m.d.sync += wanted.eq(1)"),
        Mutant(old="self.begin.eq(refused == Error.NONE)", new="self.begin.eq(1)"),
        Mutant(old="m.d.sync += [self.last_report.eq(self.report), self.report.eq(0)]",
               new="m.d.sync += [self.last_report.eq(self.report)]"),
        Mutant(old="self.stuck.eq(~self.quiet)", new="self.stuck.eq(self.quiet)"),
    )  # fmt: skip

    def bench(self, target: Any) -> Bench:
        """All inputs free."""
        bench = Bench()
        m = bench.m
        m.submodules.unit = unit = target()
        bench.free_inputs(unit)
        event = unit.done_event | unit.error_event
        # What was asked for and has not begun.
        owed, was_busy, was_event = Signal(), Signal(), Signal()
        begun, faulty = Signal(), Signal()
        any_fault = Cat(unit.faults[e] for e in Error if e).any()
        with m.If(unit.take):
            # Of two starts before a run one is owed still if the second comes with an abort.
            m.d.sync += [owed.eq(owed & unit.start & unit.abort), begun.eq(0)]
        with m.If(unit.start & ~unit.take):
            m.d.sync += owed.eq(1)
        with m.If(unit.begin):
            m.d.sync += begun.eq(1)
        m.d.sync += [
            was_busy.eq(unit.busy),
            was_event.eq(event),
            faulty.eq(unit.running & any_fault),
        ]
        bench.promise("start_not_lost", ~owed | unit.busy | unit.take)
        bench.promise("nothing_without_a_start", ~unit.take | unit.start | owed)
        bench.promise("event_then_idle", ~was_event | ~unit.busy)
        bench.promise("idle_only_after_an_event", unit.busy | ~was_busy | was_event)
        bench.promise("one_event", ~(unit.done_event & unit.error_event))
        bench.promise("reset_with_event", event == unit.core_reset)
        bench.promise("runs_only_if_begun", ~unit.running | begun)
        bench.promise("stopped_in_reset", ~unit.core_reset | unit.stop)
        bench.promise("reset_when_quiet", ~(unit.core_reset & ~unit.stuck) | begun | unit.error)
        bench.promise("fault_ends_the_run", ~faulty | (unit.stop & unit.error & ~unit.done))
        bench.promise("error_has_a_code", unit.error == (unit.report.code != Error.NONE))
        bench.promise("done_or_error", ~(unit.done & unit.error))
        bench.promise("clean_while_running", ~unit.running | ~(unit.done | unit.error | unit.stuck))
        bench.promise("known_unit", unit.report.unit <= SEQUENCER)
        quiet = Signal()
        m.d.sync += quiet.eq(unit.quiet & unit.stop)
        refused, taken = Signal(), Signal()
        m.d.sync += taken.eq(unit.take)
        with m.If(taken):
            m.d.sync += refused.eq(unit.illegal_window | unit.illegal_program)
        bench.promise("refused_never_runs", ~unit.running | ~refused)
        bench.promise("stuck_is_not_quiet", ~(unit.core_reset & unit.stuck & quiet))
        bench.promise("waits_for_quiet", ~unit.core_reset | quiet | unit.stuck)
        bench.cover("done", unit.done_event)
        bench.cover("fault", unit.error_event & (unit.report.code == Error.AXI_READ))
        bench.cover("refused", unit.error_event & (unit.report.code == Error.ILLEGAL_WINDOW))
        bench.cover("two_runs", unit.running & (unit.last_report.code == Error.ABORTED))
        return bench


class WatchdogProof(Proof):
    """A run ends in the cycle in which as many have passed as the watchdog then says, or more.

    Bounded: the watchdog and what it is changed to are small.
    """

    unit = "run_control"
    target = Control
    depth = 14
    reach = 14
    mutants = (
        Mutant(old="cycle >= self.watchdog", new="cycle == self.watchdog"),
        Mutant(old="cycle >= self.watchdog", new="cycle > self.watchdog"),
        Mutant(old="(self.watchdog != 0) & ", new=""),
        Mutant(old="cycle.eq(cycle + ~cycle[-1])", new="cycle.eq(cycle + 2)"),
    )

    def bench(self, target: Any) -> Bench:
        """No fault and no abort; the watchdog changes at any time."""
        bench = Bench()
        m = bench.m
        m.submodules.unit = unit = target()
        bench.free_inputs(unit)
        elapsed, late, fine = Signal(8), Signal(), Signal()
        past = (unit.watchdog != 0) & (elapsed + 1 >= unit.watchdog)
        quiet = ~unit.abort & ~unit.finished & ~Cat(fault for fault in unit.faults).any()
        bench.assume(quiet)
        with m.If(unit.running):
            m.d.sync += elapsed.eq(elapsed + 1)
        with m.If(unit.take):
            m.d.sync += elapsed.eq(0)
        m.d.sync += [late.eq(unit.running & past), fine.eq(unit.running & ~past)]
        bench.promise("late_is_told", ~late | (unit.stop & (unit.report.code == Error.WATCHDOG)))
        bench.promise("never_early", ~fine | unit.running)
        bench.cover("lowered", unit.running & (unit.watchdog == 2) & (elapsed == 5))
        bench.cover("told", unit.error_event & (unit.report.code == Error.WATCHDOG))
        return bench
