"""Cycle model: when each instruction starts and ends, from the same dependencies as the program.

Units are modelled at the grain of an instruction, the position FIFO at the grain of a row. The
constants of ``Timing`` are properties of the RTL.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from golden.support.errors import PotvitError
from hw.compiler.order.depend import Ordering
from hw.compiler.predict.array import ArrayTiming
from hw.compiler.predict.arrivals import Arrivals, Sequencer
from hw.compiler.predict.clock import UNKNOWN, Clock
from hw.compiler.predict.constants import ConstantFifo
from hw.compiler.predict.load import LoadTiming, fifo_capacity
from hw.compiler.predict.ports import ReadPort, WritePorts
from hw.compiler.predict.timing import Timing
from hw.compiler.predict.units import AttendTiming, NormTiming, StoreTiming
from hw.compiler.step import Step
from hw.config import Config
from hw.isa.instruction import Unit


@dataclass(frozen=True, kw_only=True)
class Run:
    """A predicted run: the times of every step, by its number, and what the units did.

    The members but ``cycles``, from the start register to the interrupt, are those of ``Clock``.
    """

    start: tuple[int, ...]
    issue_end: tuple[int, ...]
    done: tuple[int, ...]
    busy: dict[Unit, int]
    waited: dict[tuple[Unit, str], int]
    cycles: int


class UnitTiming(Protocol):
    """How long the instructions of one unit take."""

    def run(self, number: int) -> bool:
        """Time step ``number``, whose waits are over; False while another one decides it."""


def predict(
    steps: Sequence[Step],
    ordering: Ordering,
    order: Sequence[int],
    config: Config,
    timing: Timing,
    *,
    queued: bool,
) -> Run:
    """The run of ``steps`` in program order ``order`` (step numbers).

    With ``queued`` the sequencer is modelled too: one instruction per cycle in program order,
    held while the unit's queue is full; without, instructions are there from the beginning, and
    the FIFO takes only what it surely does.
    """
    clock = Clock()
    for step, waits in zip(steps, ordering.waits, strict=True):
        clock.add(step, waits)
    arrivals = Sequencer(clock, order, config, timing) if queued else Arrivals(clock, order)
    fifo = ConstantFifo(fifo_capacity(config, whole_bursts=not queued))
    ports, act = WritePorts(config.rows), ReadPort()
    load = LoadTiming(clock, arrivals, fifo, ports, config, timing)
    _run_all(
        clock,
        arrivals,
        {
            Unit.ARRAY: ArrayTiming(clock, arrivals, fifo, load, ports, act, config, timing),
            Unit.NORM: NormTiming(clock, arrivals, config, timing),
            Unit.ATTN: AttendTiming(clock, arrivals, config, timing),
            Unit.STORE: StoreTiming(clock, arrivals, act, config, timing),
        },
        load,
    )
    return Run(
        start=tuple(clock.start),
        issue_end=tuple(clock.issue_end),
        done=tuple(clock.done),
        busy=clock.busy,
        waited=clock.waited,
        cycles=max(clock.done) + timing.finish if clock.done else 0,
    )


def _run_all(
    clock: Clock, arrivals: Arrivals, units: dict[Unit, UnitTiming], load: LoadTiming
) -> None:
    """Time every step, each as soon as what decides about it is known.

    A load comes when no other unit gets further without it: what they write meanwhile may hold
    it up. A store comes last of all: what the array reads meanwhile may.
    """
    queues = {unit: deque(queue) for unit, queue in arrivals.queues.items()}
    loads, stores = queues.pop(Unit.LOAD), queues.pop(Unit.STORE)
    arrivals.advance()
    while loads or stores or any(queues.values()):
        timed = 0
        for unit, queue in queues.items():
            while queue and _timed(queue[0], clock, arrivals, units[unit]):
                queue.popleft()
                arrivals.advance()
                timed += 1
        if not timed:
            before = load.holds
            if loads and _timed(loads[0], clock, arrivals, load):
                loads.popleft()
                arrivals.advance()
            elif stores and _timed(stores[0], clock, arrivals, units[Unit.STORE]):
                stores.popleft()
                arrivals.advance()
            elif load.holds == before:
                raise PotvitError("the schedule deadlocks; this is an error of the compiler")


def _timed(number: int, clock: Clock, arrivals: Arrivals, unit: UnitTiming) -> bool:
    """Is a step timed, if not before (with the one that decides about it) then now?"""
    if clock.done[number] != UNKNOWN:
        return True
    known = arrivals.time(number) != UNKNOWN and clock.ready(number)
    return known and unit.run(number)
