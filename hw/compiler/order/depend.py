"""Ordering between units: hazards from declared accesses, semaphores from hazards.

`order_units` keeps what must be kept, `chain` has every step wait for the one before: the measure
of what running units beside one another brings.

Steps come in the canonical order. Hazards (read after write, write after read, write after
write) are tracked word by word; vector clocks drop every wait that others already imply. What
is left signals one to one, so that each wait takes exactly one count.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from golden.support.errors import PotvitError
from hw.compiler.step import Step
from hw.config import Config
from hw.formats.memories import Access, Space, memories
from hw.isa.instruction import UNITS, Unit
from hw.isa.limits import SEMAPHORE_LIMIT
from hw.lib.numbers import Array, ceil_div
from hw.program.regions import Extent


class _Words:
    """Last writer and last reader of each word of one space, per unit (step numbers).

    Words below ``first`` are never written; reading them is no hazard.
    """

    def __init__(self, first: int, end: int) -> None:
        self.first, self.end = first, end
        self.writer = np.full((UNITS, end - first), -1, np.int64)
        self.reader = np.full((UNITS, end - first), -1, np.int64)

    def span(self, access: Access, *, write: bool) -> slice:
        """The words of an access as indices."""
        low = access.lo if write else max(access.lo, min(self.first, access.hi))
        if not (0 if not write else self.first) <= access.lo <= access.hi <= self.end:
            raise AssertionError(f"{access} outside words {self.first} to {self.end}")
        return slice(max(low - self.first, 0), max(access.hi - self.first, 0))


@dataclass(kw_only=True)
class Ordering:
    """For each step: which steps it waits for (by number), and which units it signals."""

    waits: list[list[int]]
    signals: list[set[Unit]] = field(default_factory=list)


def hazards(steps: list[Step], config: Config, dram: Extent | None = None) -> list[set[int]]:
    """Numbers of the earlier steps that each step must not overtake, the latest per unit.

    ``dram`` is the part of the window that steps may write (without it, none). A writer that
    another one has overwritten is named too: the other one waited for it.
    """
    spaces = {space: _Words(0, memory.words) for space, memory in memories(config).items()}
    at, end = (dram.offset, dram.end) if dram else (1 << 32, 1 << 32)
    spaces[Space.DRAM] = _Words(at // config.axi_bytes, ceil_div(end, config.axi_bytes))
    found = []
    for number, step in enumerate(steps):
        unit = step.unit
        reads = [(w := spaces[a.space], w.span(a, write=False)) for a in step.reads]
        writes = [(w := spaces[a.space], w.span(a, write=True)) for a in step.writes]
        reads = [(words, span) for words, span in reads if span.start < span.stop]
        latest = np.full(UNITS, -1, np.int64)
        for words, span in reads:
            np.maximum(latest, words.writer[:, span].max(axis=1), out=latest)
        # Units read and write in order, except that the array's writes drain behind later reads:
        # of its own steps a unit minds only what the array reads back.
        own = latest[unit] if unit is Unit.ARRAY else -1
        for words, span in writes:
            np.maximum(latest, words.writer[:, span].max(axis=1), out=latest)
            np.maximum(latest, words.reader[:, span].max(axis=1), out=latest)
        latest[unit] = own
        for words, span in reads:
            words.reader[unit, span] = number
        for words, span in writes:
            words.writer[unit, span] = number
        found.append(set(latest[latest >= 0].tolist()))
    return found


def order_units(steps: list[Step], config: Config, dram: Extent | None = None) -> Ordering:
    """Waits and signals that keep every hazard, without redundant ones."""
    units = [s.unit for s in steps]
    position, counts = [], [0] * UNITS
    for unit in units:
        position.append(counts[unit])
        counts[unit] += 1
    known = np.full((UNITS, UNITS), -1, np.int64)  # per unit: positions known to be complete
    after: list[Array] = []
    waits: list[list[int]] = []
    signals: list[set[Unit]] = [set() for _ in steps]
    for number, before in enumerate(hazards(steps, config, dram)):
        unit = units[number]
        clock = known[unit]
        open_ = [b for b in before if clock[units[b]] < position[b]]
        needed = [b for b in open_ if not _implied(b, open_, after, units, position)]
        for b in needed:
            np.maximum(clock, after[b], out=clock)
            signals[b].add(unit)
        waits.append(sorted(needed))
        end = clock.copy()
        end[unit] = position[number]
        after.append(end)
    return Ordering(waits=waits, signals=signals)


def chain(steps: list[Step]) -> Ordering:
    """Waits and signals that let one step run at a time."""
    waits = [[number - 1] if number else [] for number in range(len(steps))]
    signals: list[set[Unit]] = [{step.unit} for step in steps[1:]]
    return Ordering(waits=waits, signals=[*signals, set()] if steps else [])


def _implied(
    candidate: int,
    others: Iterable[int],
    after: list[Array],
    units: list[Unit],
    position: list[int],
) -> bool:
    unit, at = units[candidate], position[candidate]
    return any(o != candidate and after[o][unit] >= at for o in others)


def check_semaphores(
    order: list[int], steps: list[Step], ordering: Ordering, config: Config
) -> None:
    """Prove that no semaphore of program order ``order`` (step numbers) can pass its limit.

    Dispatch is in order, so a unit is at most ``queue_depth`` + 2 instructions (queued and
    running) behind what the program order has already given to it.
    """
    slack = config.queue_depth + 2
    given = np.zeros((UNITS, UNITS), np.int64)
    taken = np.zeros((UNITS, UNITS), np.int64)
    history: list[list[Array]] = [[] for _ in range(UNITS)]
    for number in order:
        unit = steps[number].unit
        for other in ordering.waits[number]:
            taken[unit][steps[other].unit] += 1
        history[unit].append(taken[unit].copy())
        for target in ordering.signals[number]:
            given[unit][target] += 1
            past = history[target]
            sure = past[-slack - 1][unit] if len(past) > slack else 0
            if given[unit][target] - sure > SEMAPHORE_LIMIT:
                raise PotvitError(
                    f"more than {SEMAPHORE_LIMIT} signals from {unit.name} to {target.name} "
                    f"would be outstanding: lower stream_words or queue_depth"
                )
