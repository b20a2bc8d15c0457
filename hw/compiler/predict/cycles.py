"""Cycle model: when each instruction starts and ends, from the same dependencies as the program.

Units are modelled at the grain of an instruction, the position FIFO at the grain of a row. The
constants of ``Timing`` are properties of the RTL.
"""

from __future__ import annotations

import numpy as np

from golden.support.errors import PotvitError
from hw.compiler.order.depend import Ordering
from hw.compiler.predict.timing import Timing
from hw.compiler.step import Step
from hw.config import Config
from hw.isa.instruction import INSTR_BYTES, Unit
from hw.isa.payload import Attend, Gather, Load, Matmul, Norm
from hw.lib.numbers import ceil_div
from hw.program.footprint import tile_cycles


class Simulation:
    """Times of all steps of one program order.

    With ``queued`` the sequencer is modelled too: one instruction per cycle in program order,
    held while the unit's queue is full; without, instructions are there from the beginning.
    ``start`` is when a step takes its semaphores, ``issue_end`` when its unit can start the next
    one, ``done`` when it signals. ``busy`` counts cycles of work, ``waited`` the cycles a unit
    stood at an instruction for the unit named.
    """

    def __init__(
        self,
        steps: list[Step],
        ordering: Ordering,
        order: list[int],
        config: Config,
        timing: Timing,
        *,
        queued: bool,
    ) -> None:
        self.steps, self.ordering, self.order = steps, ordering, order
        self.config, self.timing, self.queued = config, timing, queued
        count = len(steps)
        self.start = np.full(count, -1, np.int64)
        self.issue_end = np.zeros(count, np.int64)
        self.done = np.full(count, -1, np.int64)
        self.busy = [0] * len(Unit)
        self.waited: dict[tuple[Unit, str], int] = {}
        self._dispatch = np.full(count, -1 if queued else 0, np.int64)
        self._queues: list[list[int]] = [[] for _ in Unit]
        self._place = np.zeros(count, np.int64)
        self._order_place = np.zeros(count, np.int64)
        for place, number in enumerate(order):
            self._order_place[number] = place
            queue = self._queues[steps[number].unit]
            self._place[number] = len(queue)
            queue.append(number)
        self._next = [0] * len(Unit)
        self._free = [0] * len(Unit)
        self._load_data = timing.fetch if queued else 0
        self._fetched = 0
        self._coded = self._valued = 0
        self._pushed: list[int] = []
        self._popped: list[int] = []
        self._blocked: int | None = None
        self._dispatched = 0
        self._run()

    @property
    def cycles(self) -> int:
        """Start to interrupt."""
        return int(self.done.max()) + self.timing.finish if len(self.done) else 0

    def _run(self) -> None:
        finished, total = 0, len(self.steps)
        while finished < total:
            self._dispatch_more()
            for unit in Unit:
                while self._next[unit] < len(self._queues[unit]):
                    number = self._queues[unit][self._next[unit]]
                    if not self._ready(number) or not self._execute(number):
                        break
                    self._next[unit] += 1
                    self._dispatch_more()
            if sum(self._next) == finished:
                raise PotvitError("the schedule deadlocks; this is an error of the compiler")
            finished = sum(self._next)

    def _dispatch_more(self) -> None:
        if not self.queued:
            return
        per_instr = max(1, INSTR_BYTES // self.config.axi_bytes)
        while self._dispatched < len(self.order):
            number = self.order[self._dispatched]
            unit = self.steps[number].unit
            earliest = self.timing.fetch
            if self._dispatched:
                earliest = int(self._dispatch[self.order[self._dispatched - 1]]) + per_instr
            ahead = int(self._place[number]) - self.config.queue_depth - 1
            if ahead >= 0:
                blocker = self._queues[unit][ahead]
                if self.start[blocker] < 0:
                    return
                earliest = max(earliest, int(self.start[blocker]) + 1)
            self._dispatch[number] = earliest
            self._dispatched += 1

    def _ready(self, number: int) -> bool:
        return self._dispatch[number] >= 0 and all(
            self.done[other] >= 0 for other in self.ordering.waits[number]
        )

    def _begin(self, number: int) -> int:
        """Start time of a step from dispatch, unit and semaphores; books what it waited for."""
        unit = self.steps[number].unit
        arrived = int(self._dispatch[number]) + (self.timing.dispatch if self.queued else 0)
        time = max(arrived, self._free[unit])
        if arrived > self._free[unit]:
            self._book(unit, "dispatch", arrived - self._free[unit])
        for other in sorted(self.ordering.waits[number], key=lambda n: int(self.done[n])):
            done = int(self.done[other]) + 1
            if done > time:
                self._book(unit, self.steps[other].unit.name.lower(), done - time)
                time = done
        return time

    def _book(self, unit: Unit, cause: str, cycles: int) -> None:
        self.waited[unit, cause] = self.waited.get((unit, cause), 0) + cycles

    def _execute(self, number: int) -> bool:
        """Simulate one step; False if it needs the other end of the position FIFO first."""
        step = self.steps[number]
        match step.body:
            case Load() | Gather():
                return self._load(number, step)
            case Matmul():
                return self._matmul(number, step, step.body)
            case Norm(steps=steps, count=count):
                begin = self._begin(number)
                work = count * max(steps, self.timing.norm_token)
                self._finish(number, begin, begin + work, begin + work + self.timing.norm)
            case Attend():
                begin = self._begin(number)
                summed = begin + step.body.keys + self.timing.attend
                self._finish(number, begin, *self._attend(step.body, summed))
            case _:
                begin = self._begin(number)
                made = step.footprint(self.config)
                work = max(made.beats_out, made.words_out)
                self._finish(number, begin, begin + work, begin + work + self.timing.write)
                self._free[Unit.STORE] = int(self.done[number])
        return True

    def _attend(self, body: Attend, summed: int) -> tuple[int, int]:
        """When the sums of an ATTEND, there at ``summed``, are handed on, and when it is done.

        The coding pass keeps its last key until the values of the group before have been read.
        """
        timing = self.timing
        handed = max(summed, self._coded)
        self._coded = max(handed + body.keys + timing.code, self._valued)
        sweep = ceil_div(body.keys, self.config.keys_per_cycle) + timing.sweep
        self._valued = self._coded + body.d_words * sweep
        return handed, self._valued + timing.attend_end

    def _finish(self, number: int, begin: int, issue_end: int, done: int) -> None:
        unit = self.steps[number].unit
        self.start[number] = begin
        self.issue_end[number] = issue_end
        self.done[number] = done
        self.busy[unit] += issue_end - begin
        self._free[unit] = issue_end

    def _load(self, number: int, step: Step) -> bool:
        rows = step.rows
        if rows and len(self._pushed) + rows - self._capacity > len(self._popped):
            self._blocked = number  # its consumer must run first: see _consume
            return False
        self._blocked = None
        begin = self._begin(number)
        data = self._data_start(number, begin)
        made = step.footprint(self.config)
        beats = max(made.beats_in, made.words_in)
        end = data + beats
        for row in range(rows):
            end = self._push(data + (row + 1) * beats // rows)
        self._loaded(number, begin, data, max(end, data + beats))
        return True

    def _data_start(self, number: int, begin: int) -> int:
        """First beat of a load: the bus is shared with the fetch, which is ahead of dispatch."""
        share = 0
        if self.queued:
            queue, at = self._queues[Unit.LOAD], int(self._place[number])
            newest = min(at + self.config.queue_depth, len(queue) - 1) if at else 0
            fetched = int(self._order_place[queue[newest]]) + self.config.fetch_depth
            share = max(1, INSTR_BYTES // self.config.axi_bytes) * (fetched - self._fetched)
            self._fetched = fetched
        return max(begin + self.timing.read, self._load_data + share)

    @property
    def _capacity(self) -> int:
        """Rows that the FIFO holds; for program order what it surely takes in whole bursts."""
        config = self.config
        if self.queued:
            return config.const_rows
        return config.const_rows - ceil_div(
            config.burst_beats * config.axi_bytes, config.const_bytes
        )

    def _push(self, earliest: int) -> int:
        index = len(self._pushed)
        time = max(earliest, self._pushed[-1] + 1 if self._pushed else 0)
        if index >= self._capacity:
            time = max(time, self._popped[index - self._capacity] + 1)
        self._pushed.append(time)
        return time

    def _loaded(self, number: int, begin: int, data: int, end: int) -> None:
        config = self.config
        beats = self.steps[number].footprint(config).beats_in
        bursts = ceil_div(beats, config.burst_beats)
        ahead = end - config.outstanding * config.burst_beats
        self._finish(number, begin, max(begin + bursts, ahead), end + 4)
        self.busy[Unit.LOAD] += end - data - int(self.issue_end[number] - begin)
        self._load_data = end

    def _matmul(self, number: int, step: Step, body: Matmul) -> bool:
        config = self.config
        made, each = step.footprint(config), tile_cycles(body, config)
        params = 0
        if made.param_sets:
            slowest = max(body.chunks, self.timing.param_gap) + config.param_words
            params = max(slowest, config.rows) - each
        work = made.array_cycles + params * made.param_sets
        if not step.rows:
            begin = self._begin(number)
            end = begin + work
        else:
            missing = len(self._pushed) < len(self._popped) + step.rows
            if missing and self._blocked is None:
                return False
            begin = self._begin(number)
            end = self._consume(step, body.groups, begin + params, each)
        self._finish(number, begin, end, end + self.timing.drain + config.rows)
        self.busy[Unit.ARRAY] += work - (end - begin)
        if end - begin > work:
            self._book(Unit.ARRAY, "constants", end - begin - work)
        return True

    def _consume(self, step: Step, groups: int, time: int, each: int) -> int:
        """Run the groups of a MATMUL that takes position constants, with a load held up by it."""
        missing = len(self._pushed) < len(self._popped) + step.rows
        load = self._blocked if missing else None
        begin = data = end = 0
        if load is not None:
            begin = self._begin(load)
            data = self._data_start(load, begin)
        brought = 0
        for group in range(groups):
            rows = min(self.config.rows, step.rows - group * self.config.rows)
            taken = len(self._popped)
            while load is not None and len(self._pushed) < taken + rows:
                brought += 1
                end = self._push(data + brought)
            time = max(time + each, self._pushed[taken + rows - 1] + 2)  # its last chunk waits
            self._popped += [time + self.timing.drain + row for row in range(rows)]
        if load is not None:
            self._loaded(load, begin, data, end)
            self._next[Unit.LOAD] += 1
            self._blocked = None
        return time
