"""When instructions reach their units: behind a sequencer, or as if all had been there before."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from hw.compiler.predict.clock import UNKNOWN, Clock
from hw.compiler.predict.timing import Timing
from hw.config import Config
from hw.isa.instruction import INSTR_BYTES, Unit


class Arrivals:
    """Instructions that are there from the beginning, in queues without an end.

    ``queues`` has the step numbers of each unit in program order.
    """

    #: First cycle in which the bus is free for data.
    bus_free = 0

    def __init__(self, clock: Clock, order: Sequence[int]) -> None:
        self.queues: dict[Unit, list[int]] = {unit: [] for unit in Unit}
        for number in order:
            self.queues[clock.steps[number].unit].append(number)

    def advance(self) -> None:
        """Take note of steps whose start has become known."""

    def time(self, number: int) -> int:
        """When a step is at its unit; `UNKNOWN` while an earlier one's start decides it."""
        return 0

    def fetch_beats(self, time: int) -> int:
        """Beats that instructions have taken from the bus by ``time`` since the last call."""
        return 0


class Sequencer(Arrivals):
    """One instruction a cycle in program order, or as fast as the bus brings them.

    It stands still while the queue of the next one's unit is full.
    """

    def __init__(self, clock: Clock, order: Sequence[int], config: Config, timing: Timing) -> None:
        super().__init__(clock, order)
        self.bus_free = timing.fetch
        self._clock, self._order, self._config, self._timing = clock, order, config, timing
        self._beats = max(1, INSTR_BYTES // config.axi_bytes)
        self._place = {n: i for queue in self.queues.values() for i, n in enumerate(queue)}
        self._dispatched: list[int] = []
        self._sent = [UNKNOWN] * len(order)
        self._next = self._fetched = 0

    def advance(self) -> None:
        while self._next < len(self._order):
            number = self._order[self._next]
            earliest = self._timing.fetch
            if self._next:
                earliest = self._sent[self._order[self._next - 1]] + self._beats
            ahead = self._place[number] - self._config.queue_depth - 1
            if ahead >= 0:
                started = self._clock.start[self.queues[self._clock.steps[number].unit][ahead]]
                if started == UNKNOWN:
                    return
                earliest = max(earliest, started + 1)
            self._sent[number] = earliest
            self._dispatched.append(earliest)
            self._next += 1

    def time(self, number: int) -> int:
        sent = self._sent[number]
        return UNKNOWN if sent == UNKNOWN else sent + self._timing.dispatch

    def fetch_beats(self, time: int) -> int:
        """The fetch is ``fetch_depth`` instructions ahead of dispatch."""
        ahead = bisect_right(self._dispatched, time) + self._config.fetch_depth
        fetched = min(ahead, len(self._order) + 1)
        beats = self._beats * max(0, fetched - self._fetched)
        self._fetched = max(fetched, self._fetched)
        return beats
