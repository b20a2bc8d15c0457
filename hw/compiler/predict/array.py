"""Times of the array: tiles, parameters, and the position constants that hold it up."""

from __future__ import annotations

from hw.compiler.predict.arrivals import Arrivals
from hw.compiler.predict.clock import Clock
from hw.compiler.predict.constants import ConstantFifo
from hw.compiler.predict.load import LoadTiming
from hw.compiler.predict.ports import ReadPort, WritePorts
from hw.compiler.predict.timing import Timing
from hw.config import Config
from hw.formats.memories import Space
from hw.isa.instruction import Unit
from hw.isa.payload import Matmul
from hw.program.footprint import tile_cycles


class ArrayTiming:
    """A tile and row group takes its chunks, and the first of a tile its parameters too.

    A MATMUL with position constants waits for the rows of each group in ``fifo``.
    """

    def __init__(
        self,
        clock: Clock,
        arrivals: Arrivals,
        fifo: ConstantFifo,
        load: LoadTiming,
        ports: WritePorts,
        act: ReadPort,
        config: Config,
        timing: Timing,
    ) -> None:
        self._clock, self._arrivals, self._fifo, self._load = clock, arrivals, fifo, load
        self._ports, self._act, self._config, self._timing = ports, act, config, timing

    def run(self, number: int) -> bool:
        """Time step ``number``; False while the load of its position constants is not known."""
        clock, config, step = self._clock, self._config, self._clock.steps[number]
        body = step.body
        assert isinstance(body, Matmul)
        made, each = step.footprint(config), tile_cycles(body, config)
        rows = made.const_rows
        if rows and not self._fifo.has(rows) and not self._load.holds:
            return False
        params = 0
        if made.param_sets:
            slowest = max(body.chunks, self._timing.param_gap) + config.param_words
            params = max(slowest, config.rows) - each
        work = made.array_cycles + params * made.param_sets
        begin = clock.begin(number, self._arrivals.time(number))
        end = self._consume(body, begin + params, each) if rows else begin + work
        self._act.taken(begin, end, body.tiles * body.groups * body.chunks)
        clock.end(number, end, end + self._timing.drain + config.rows, work=work)
        if self._ports.shares(Space(body.dest)):
            self._drain(body, begin, each, params, made.param_sets)
        if end - begin > work:
            clock.book(Unit.ARRAY, "constants", end - begin - work)
        return True

    def _drain(self, body: Matmul, begin: int, each: int, params: int, sets: int) -> None:
        """Tell the port of the memory that a MATMUL writes when its tiles are drained."""
        space, time = Space(body.dest), begin + self._timing.drain
        for tile in range(body.tiles):
            time += params * (tile < sets)
            self._ports.drain(space, range(time + each, time + each * (body.groups + 1), each))
            time += each * body.groups

    def _consume(self, body: Matmul, time: int, each: int) -> int:
        """Run tiles that take constants for each of their rows, with a load that waits for them."""
        rows = [self._config.rows] * (body.groups - 1) + [body.rows_last]
        if body.group_outer:
            turns = [count for count in rows for _ in range(body.tiles)]
        else:
            turns = rows * body.tiles
        feeds = not self._fifo.has(sum(turns))
        if feeds:
            self._load.resume()
        for taken in turns:
            while feeds and not self._fifo.has(taken):
                self._load.bring()
            # Its last chunk waits for the constants.
            time = max(time + each, self._fifo.entered(taken) + self._timing.constant)
            self._fifo.pop(time + self._timing.drain + row for row in range(taken))
        if feeds:
            self._load.complete()
        return time
