"""When the LOAD unit and the array are busy, guessed while patch embedding chooses its order."""

from __future__ import annotations

from hw.compiler.step import Demand, Step
from hw.config import Config


class Pace:
    """A clock of bus and array that looks no further than the loads and MATMULs told so far.

    The cycle model times an order; this helps to make one, so it knows no waits, no addresses and
    no latencies. What an instruction costs is its footprint, as in the cycle model. A MATMUL's
    constants leave the FIFO evenly from its start to its end.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._bus = self._array = 0
        self._running: list[tuple[int, int, int]] = []

    def load(self, demand: Demand) -> int:
        """A load is next; the cycles for which it has the bus."""
        made = demand.step.footprint(self._config)
        cycles = max(made.beats_in, made.words_in)
        self._bus += cycles
        return cycles

    def work(self, step: Step, constants: Demand) -> None:
        """The constants of a MATMUL are next, as soon as the FIFO takes them, then the MATMUL."""
        made = step.footprint(self._config)
        while self._running and not self.takes(made.const_rows):
            self._bus = max(self._bus + 1, min(end for _, _, end in self._running))
        self.load(constants)
        start = max(self._bus, self._array)
        self._array = start + made.array_cycles
        self._running.append((made.const_rows, start, self._array))

    def takes(self, rows: int) -> bool:
        """Would the FIFO take ``rows`` constants now, and keep a quarter free?"""
        self._running = [r for r in self._running if r[2] > self._bus]
        held = sum(
            n * min(1.0, (end - self._bus) / (end - start)) for n, start, end in self._running
        )
        return held + rows <= self._config.const_rows * 3 // 4
