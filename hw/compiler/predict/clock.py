"""When each step of a program begins and ends: what the timing of all units shares."""

from __future__ import annotations

from collections.abc import Sequence

from hw.compiler.step import Step
from hw.isa.instruction import Unit

#: A time that is not known yet.
UNKNOWN = -1


class Clock:
    """Times of the steps of a program, which have numbers in the order in which they are added.

    ``start`` is when a step takes its semaphores, ``issue_end`` when its unit can start the next
    one, ``done`` when it signals. ``busy`` counts cycles of work, ``waited`` the cycles that a
    unit stood at an instruction for the unit or the cause named, ``free`` is when each unit can
    start its next instruction.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.waits: list[Sequence[int]] = []
        self.start: list[int] = []
        self.issue_end: list[int] = []
        self.done: list[int] = []
        self.free = dict.fromkeys(Unit, 0)
        self.busy = dict.fromkeys(Unit, 0)
        self.waited: dict[tuple[Unit, str], int] = {}

    def add(self, step: Step, waits: Sequence[int]) -> int:
        """A step that waits for the steps with the numbers ``waits``; its own number."""
        self.steps.append(step)
        self.waits.append(waits)
        for times in (self.start, self.issue_end, self.done):
            times.append(UNKNOWN)
        return len(self.steps) - 1

    def ready(self, number: int) -> bool:
        """Is it known when everything that a step waits for is done?"""
        return all(self.done[other] != UNKNOWN for other in self.waits[number])

    def begin(self, number: int, arrival: int) -> int:
        """Start of a step that reaches its unit at ``arrival``; books what it waits for."""
        unit = self.steps[number].unit
        time = max(arrival, self.free[unit])
        if arrival > self.free[unit]:
            self.book(unit, "dispatch", arrival - self.free[unit])
        for other in sorted(self.waits[number], key=self.done.__getitem__):
            done = self.done[other] + 1
            if done > time:
                self.book(unit, self.steps[other].unit.name.lower(), done - time)
                time = done
        self.start[number] = time
        return time

    def end(self, number: int, issue_end: int, done: int, *, work: int | None = None) -> None:
        """A step's ends, and its cycles of work where they are not all of its time."""
        unit = self.steps[number].unit
        self.issue_end[number], self.done[number] = issue_end, done
        self.busy[unit] += issue_end - self.start[number] if work is None else work
        self.free[unit] = issue_end

    def book(self, unit: Unit, cause: str, cycles: int) -> None:
        """Charge cycles in which ``unit`` stood still to a cause."""
        self.waited[unit, cause] = self.waited.get((unit, cause), 0) + cycles
