"""Runs a program's bytes: in program order with all checks, or in any order hardware may take."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable

import numpy as np

from golden.support.errors import PotvitError
from hw.config import Config
from hw.formats.memories import Access, Space
from hw.interpreter.execute import Executor
from hw.interpreter.races import RaceDetector
from hw.isa.instruction import UNIT_OF, UNITS, Instr, Op, Unit
from hw.isa.limits import IN_FLIGHT, SEMAPHORE_LIMIT
from hw.lib.numbers import Array
from hw.program.footprint import footprint
from hw.program.program import Program


def run_program(program: Program, config: Config, picture: Array) -> Array:
    """Execute in program order and return the DRAM window afterwards.

    Checks that every wait is satisfiable in program order, that no two conflicting accesses are
    left unordered, and (on a freshly compiled program) that accesses stay within what the
    compiler declared. Raises ``PotvitError`` otherwise.
    """
    program.check(config.digest)
    dram = program.dram(picture)
    executor = Executor(config, dram)
    races = RaceDetector(config, program.writable)
    semaphores = np.zeros((UNITS, UNITS), np.int64)
    for number, instr in enumerate(_body(program)):
        unit = UNIT_OF[instr.op]
        for source, count in instr.waits.items():
            semaphores[source][unit] -= count
            if semaphores[source][unit] < 0:
                raise PotvitError(f"instruction {number} waits for {source.name} in vain")
        executor.memories.forget()
        executor.begin(instr)()
        memories = executor.memories
        races.observe(instr, memories.reads, memories.writes)
        if program.accesses:
            reads, writes = program.accesses[number]
            _declared(number, instr, memories.reads, reads)
            _declared(number, instr, memories.writes, writes)
        for target in instr.signals:
            semaphores[unit][target] += 1
    if executor.array.constants:
        raise PotvitError(f"{len(executor.array.constants)} position constants were never taken")
    if semaphores.any():
        raise PotvitError("signals were given that nobody takes")
    return dram


def _body(program: Program) -> list[Instr]:
    instrs = program.instructions()
    if not instrs or instrs[-1].op is not Op.END or any(i.op is Op.END for i in instrs[:-1]):
        raise PotvitError("the program does not end in its only END")
    return instrs[:-1]


def _declared(
    number: int, instr: Instr, touched: dict[Space, list[Array]], declared: Iterable[Access]
) -> None:
    for space, parts in touched.items():
        words = np.unique(np.concatenate(parts))
        covered = np.zeros(words.shape, bool)
        for access in declared:
            if access.space is space:
                covered |= (words >= access.lo) & (words < access.hi)
        if not covered.all():
            raise PotvitError(
                f"instruction {number}, {instr.op.name}, touches {space.name} word "
                f"{words[~covered][0]}, which it does not declare"
            )


#: An instruction under way, what completes it, its position constants, and how many of those have
#: been brought up to it.
_Active = tuple[Instr, Callable[[], None], int, int]


class RandomOrder:
    """One random legal interleaving: dispatch, starts and ends in any order hardware allows.

    Queues have the configuration's depth; an instruction reads when it starts or, by chance, only
    when it ends; it writes when it ends. Raises ``PotvitError`` on deadlock or semaphore overflow.
    """

    def __init__(self, program: Program, config: Config, picture: Array, seed: int) -> None:
        program.check(config.digest)
        self.dram = program.dram(picture)
        self.config = config
        self._random = random.Random(seed)
        self._executor = Executor(config, self.dram)
        self._program = deque(_body(program))
        self._queues: list[deque[Instr]] = [deque() for _ in Unit]
        self._active: list[deque[_Active]] = [deque() for _ in Unit]
        self._semaphores = np.zeros((UNITS, UNITS), np.int64)
        self._pushed = self._absorbed = 0
        self._bias = [self._random.random() for _ in range(2 * UNITS + 1)]

    def run(self) -> Array:
        """Execute everything and return the DRAM window."""
        while True:
            choices = [n for n in range(2 * UNITS + 1) if self._possible(n)]
            if not choices:
                break
            weights = [self._bias[n] for n in choices]
            self._act(self._random.choices(choices, weights)[0])
        if self._program or any(self._queues) or any(self._active):
            raise PotvitError("deadlock: no unit can go on")
        return self.dram

    def _possible(self, event: int) -> bool:
        if event == 2 * UNITS:
            if not self._program:
                return False
            unit = UNIT_OF[self._program[0].op]
            return len(self._queues[unit]) < self.config.queue_depth
        unit = Unit(event % UNITS)
        if event < UNITS:
            if not self._queues[unit] or len(self._active[unit]) >= IN_FLIGHT[unit]:
                return False
            waits = self._queues[unit][0].waits
            return all(self._semaphores[u][unit] >= n for u, n in waits.items())
        if not self._active[unit]:
            return False
        instr, _, rows, pushed = self._active[unit][0]
        if instr.op is Op.LOAD and rows:  # what does not fit the FIFO must have been absorbed
            return pushed <= self._absorbed + self.config.const_rows
        if rows:
            return len(self._executor.array.constants) >= rows
        return True

    def _act(self, event: int) -> None:
        if event == 2 * UNITS:
            instr = self._program.popleft()
            self._queues[UNIT_OF[instr.op]].append(instr)
            return
        unit = Unit(event % UNITS)
        if event < UNITS:
            self._start(unit)
        else:
            self._finish(unit)

    def _start(self, unit: Unit) -> None:
        instr = self._queues[unit].popleft()
        for source, count in instr.waits.items():
            self._semaphores[source][unit] -= count
        rows = footprint(instr.body, self.config).const_rows
        if instr.op is Op.LOAD:
            self._pushed += rows
        else:
            self._absorbed += rows
        # The array's operands are read in order with those of its other instructions.
        late = unit is not Unit.ARRAY and not rows and self._random.random() < 0.3
        if late:
            finish: Callable[[], None] = lambda: self._executor.begin(instr)()  # noqa: E731
        else:
            finish = self._executor.begin(instr)
        self._active[unit].append((instr, finish, rows, self._pushed))

    def _finish(self, unit: Unit) -> None:
        instr, finish, _, _ = self._active[unit].popleft()
        finish()
        for target in instr.signals:
            self._semaphores[unit][target] += 1
            if self._semaphores[unit][target] > SEMAPHORE_LIMIT:
                raise PotvitError(f"semaphore {unit.name} to {target.name} overflows")


def run_random_order(program: Program, config: Config, picture: Array, seed: int) -> Array:
    """The DRAM window after one random legal interleaving; equal bits for every seed."""
    return RandomOrder(program, config, picture, seed).run()
