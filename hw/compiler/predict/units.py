"""Times of the units whose instructions depend on nothing but their own numbers."""

from __future__ import annotations

from hw.compiler.predict.arrivals import Arrivals
from hw.compiler.predict.clock import Clock
from hw.compiler.predict.ports import ReadPort
from hw.compiler.predict.timing import Timing
from hw.config import Config
from hw.formats.sums import sum_widths
from hw.isa.instruction import Unit
from hw.isa.payload import Attend, Mem, Norm, Store
from hw.lib.numbers import ceil_div


class NormTiming:
    """LayerNorm: tokens one after the other, each its steps or the least there is.

    That is a root, or a variance, which takes a cycle for each bit that S1 may have.
    """

    def __init__(self, clock: Clock, arrivals: Arrivals, config: Config, timing: Timing) -> None:
        self._clock, self._arrivals, self._timing = clock, arrivals, timing
        self._least = max(timing.norm_token, sum_widths(config.max_channels)[0])

    def run(self, number: int) -> bool:
        """Time step ``number``; always known."""
        body = self._clock.steps[number].body
        assert isinstance(body, Norm)
        begin = self._clock.begin(number, self._arrivals.time(number))
        end = begin + body.count * max(body.steps, self._least)
        self._clock.end(number, end, end + self._timing.norm)
        return True


class AttendTiming:
    """Attention: a summing, a coding and a value pass, with a row group in each.

    The coding pass keeps its last key until the values of the group before have been read.
    """

    def __init__(self, clock: Clock, arrivals: Arrivals, config: Config, timing: Timing) -> None:
        self._clock, self._arrivals = clock, arrivals
        self._config, self._timing = config, timing
        self._coded = self._valued = 0

    def run(self, number: int) -> bool:
        """Time step ``number``; always known."""
        body, timing = self._clock.steps[number].body, self._timing
        assert isinstance(body, Attend)
        begin = self._clock.begin(number, self._arrivals.time(number))
        handed = max(begin + body.keys + timing.attend, self._coded)
        self._coded = max(handed + body.keys + timing.code, self._valued)
        sweep = ceil_div(body.keys, self._config.keys_per_cycle) + timing.sweep
        self._valued = self._coded + body.d_words * sweep
        self._clock.end(number, handed, self._valued + timing.attend_end)
        return True


class StoreTiming:
    """STORE and SCATTER: a beat or a word a cycle, one instruction at a time.

    What comes from ACT is read, beat by beat, in cycles in which the array does not read.
    """

    def __init__(
        self, clock: Clock, arrivals: Arrivals, act: ReadPort, config: Config, timing: Timing
    ) -> None:
        self._clock, self._arrivals, self._act = clock, arrivals, act
        self._config, self._timing = config, timing

    def run(self, number: int) -> bool:
        """Time step ``number``; always known."""
        step = self._clock.steps[number]
        made = step.footprint(self._config)
        begin = self._clock.begin(number, self._arrivals.time(number))
        end = begin + max(made.beats_out, made.words_out)
        if isinstance(step.body, Store) and step.body.src is Mem.ACT:
            end = self._act.read(begin, made.beats_out)
        done = end + self._timing.write
        self._clock.end(number, end, done)
        self._clock.free[Unit.STORE] = done
        return True
