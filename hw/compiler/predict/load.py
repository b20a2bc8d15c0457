"""Times of the LOAD unit: loads and gathers share the bus with the fetch of instructions."""

from __future__ import annotations

from hw.compiler.predict.arrivals import Arrivals
from hw.compiler.predict.clock import Clock
from hw.compiler.predict.constants import ConstantFifo
from hw.compiler.predict.ports import WritePorts
from hw.compiler.predict.timing import Timing
from hw.config import Config
from hw.formats.memories import Space
from hw.isa.payload import Gather, Load, Payload
from hw.lib.numbers import ceil_div


class LoadTiming:
    """One beat of data a cycle, or one word where words are what limits, or what ``ports`` leave.

    Position constants enter ``fifo``. A load that it does not take at once is held: how fast it
    is depends on the MATMUL that takes its rows, which calls ``resume``, ``bring`` for each row,
    and ``complete``.
    """

    def __init__(
        self,
        clock: Clock,
        arrivals: Arrivals,
        fifo: ConstantFifo,
        ports: WritePorts,
        config: Config,
        timing: Timing,
    ) -> None:
        self._clock, self._arrivals, self._fifo, self._ports = clock, arrivals, fifo, ports
        self._config, self._timing = config, timing
        self._bus_free = arrivals.bus_free
        self._held: int | None = None
        self._data = self._brought = self._end = 0

    @property
    def holds(self) -> bool:
        """Does a load wait for the MATMUL that takes its rows?"""
        return self._held is not None

    def run(self, number: int) -> bool:
        """Time step ``number``; False if a MATMUL must be timed with it."""
        step = self._clock.steps[number]
        made = step.footprint(self._config)
        rows = made.const_rows
        if rows and not self._fifo.takes(rows):
            self._held = number
            return False
        self._held = None
        data = self._begin(number)
        beats = max(made.beats_in, made.words_in)
        end = self._written(step.body, data, beats)
        for row in range(rows):
            end = max(end, self._fifo.push(data + (row + 1) * beats // rows))
        self._finish(number, data, end)
        return True

    def _written(self, body: Payload, data: int, beats: int) -> int:
        """When all of a load is in its memory whose data begin at ``data``."""
        if isinstance(body, Load):
            space, words = Space(body.dest), body.words
        else:
            assert isinstance(body, Gather)
            space, words = Space(body.mem), beats
        if not self._ports.shares(space):
            return data + beats
        return self._ports.loaded(space, data, words, max(1, beats // words))

    def resume(self) -> None:
        """Begin the load that is held."""
        assert self._held is not None
        self._data = self._begin(self._held)
        self._brought = self._end = 0

    def bring(self) -> None:
        """The next row of the load that is held enters the FIFO."""
        self._brought += 1
        self._end = self._fifo.push(self._data + self._brought)

    def complete(self) -> None:
        """End the load that is held."""
        assert self._held is not None
        self._finish(self._held, self._data, self._end)
        self._held = None

    def _begin(self, number: int) -> int:
        """First beat of a load's data."""
        begin = self._clock.begin(number, self._arrivals.time(number))
        ready = begin + self._timing.read
        share = self._arrivals.fetch_beats(max(ready, self._bus_free))
        return max(ready, self._bus_free + share)

    def _finish(self, number: int, data: int, end: int) -> None:
        config = self._config
        begin = self._clock.start[number]
        beats = self._clock.steps[number].footprint(config).beats_in
        bursts = ceil_div(beats, config.burst_beats)
        ahead = end - config.outstanding * config.burst_beats
        issue_end = max(begin + bursts, ahead)
        self._clock.end(number, issue_end, end + self._timing.load, work=end - data)
        self._bus_free = end


def fifo_capacity(config: Config, *, whole_bursts: bool) -> int:
    """Rows that the FIFO holds, or those that it surely takes where bursts arrive whole."""
    burst = ceil_div(config.burst_beats * config.axi_bytes, config.const_bytes)
    return config.const_rows - burst * whole_bursts
