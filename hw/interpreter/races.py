"""Proof over all interleavings: every conflicting pair of accesses is ordered by semaphores."""

from __future__ import annotations

import numpy as np

from golden.support.errors import PotvitError
from hw.config import Config
from hw.formats.memories import Space, memories
from hw.isa.instruction import UNIT_OF, UNITS, Instr, Unit
from hw.lib.numbers import Array
from hw.program.regions import Extent


class RaceDetector:
    """Vector clocks over a program in its own order, from waits and signals alone.

    ``observe`` takes an instruction and the words it really touched; it raises ``PotvitError``
    where another unit's access to one of them is not known to be complete, or where it writes to
    the window outside ``dram``, which the program must not. Units complete in
    order; only the array and the attention unit may read before their own earlier writes land.
    """

    def __init__(self, config: Config, dram: Extent) -> None:
        self._known = np.full((UNITS, UNITS), -1, np.int64)
        self._after: list[list[Array]] = [[] for _ in Unit]
        self._signals: list[list[list[int]]] = [[[] for _ in Unit] for _ in Unit]
        self._taken = np.zeros((UNITS, UNITS), np.int64)
        sizes = {space: memory.words for space, memory in memories(config).items()}
        self._first = {Space.DRAM: dram.offset // config.axi_bytes}
        sizes[Space.DRAM] = -(-dram.end // config.axi_bytes) - self._first[Space.DRAM]
        self._writes = {s: np.full((UNITS, n), -1, np.int64) for s, n in sizes.items()}
        self._reads = {s: np.full((UNITS, n), -1, np.int64) for s, n in sizes.items()}

    def observe(
        self, instr: Instr, reads: dict[Space, list[Array]], writes: dict[Space, list[Array]]
    ) -> None:
        """Check one instruction, in program order."""
        unit = UNIT_OF[instr.op]
        clock = self._known[unit]
        for source, count in instr.waits.items():
            signals = self._signals[source][unit]
            self._taken[unit][source] += count
            if self._taken[unit][source] > len(signals):
                raise PotvitError(
                    f"{instr.op.name} waits for a signal of {source.name} that no earlier "
                    f"instruction gives"
                )
            number = signals[self._taken[unit][source] - 1]
            np.maximum(clock, self._after[source][number], out=clock)
        position = len(self._after[unit])
        reads, writes = (
            self._within(reads, instr, write=False),
            self._within(writes, instr, write=True),
        )
        for space, parts in reads.items():
            for words in parts:
                self._ordered(self._writes[space][:, words], clock, unit, True, instr, space)
        for space, parts in writes.items():
            for words in parts:
                self._ordered(self._writes[space][:, words], clock, unit, False, instr, space)
                self._ordered(self._reads[space][:, words], clock, unit, False, instr, space)
        for table, touched in ((self._reads, reads), (self._writes, writes)):
            for space, parts in touched.items():
                for words in parts:
                    table[space][unit][words] = position
        end = clock.copy()
        end[unit] = position
        self._after[unit].append(end)
        for target in instr.signals:
            self._signals[unit][target].append(position)

    def _within(
        self, touched: dict[Space, list[Array]], instr: Instr, *, write: bool
    ) -> dict[Space, list[Array]]:
        """Words as indices of the tables; what is never written is nobody's hazard."""
        found = {}
        for space, parts in touched.items():
            first = self._first.get(space, 0)
            inside = [words[words >= first] - first for words in parts]
            if write and any(len(a) < len(b) for a, b in zip(inside, parts, strict=True)):
                raise PotvitError(f"{instr.op.name} writes into the program's own image")
            found[space] = inside
        return found

    def _ordered(
        self, last: Array, clock: Array, unit: Unit, read: bool, instr: Instr, space: Space
    ) -> None:
        newest = last.max(axis=1) if last.shape[1] else np.full(UNITS, -1)
        if not (read and unit in (Unit.ARRAY, Unit.ATTN)):
            newest[unit] = -1
        late = np.flatnonzero(newest > clock)
        if late.size:
            raise PotvitError(
                f"race: {instr.body} and an earlier instruction of "
                f"{Unit(late[0]).name} touch the same words of {space.name} unordered"
            )
