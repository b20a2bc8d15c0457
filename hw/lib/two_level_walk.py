"""The place in two nested loops, whichever of them is outside, without a multiplier."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out


class TwoLevelWalk(wiring.Component):
    """Steps along lines and from line to line: a place is ``start + i*along + j*across``.

    Lines outside: step along to the end of the line, then ``cross`` to the beginning of the next::

        1 2 3 4        begin, 3 steps, cross, 3 steps
        5 6 7 8

    Blocks of each line outside: step along a block, ``cross`` to the same block of the next line,
    and behind the last line ``resume`` the first one where its block ended::

        1 2 | 5 6      begin, a step, cross, a step (and one to the block's end), resume, ...
        3 4 | 7 8

    A place is a set of named numbers (``place``), each of which steps by its own amount and wraps
    at its own width. Steps may differ in size: only the sums are kept.

    Members
    -------
    start, along, across : places, or differences of places, of the cycle that uses them.
    step : go along.
    begin, cross, resume : pulses, at most one a cycle. To ``start``; ``across`` from where the last
        of these three pulses led; behind the last step before the first ``cross`` since ``begin``
        or ``resume``. A ``step`` in the same cycle still belongs to the block that ends.
    at : the place, from the cycle after a pulse or a step.
    """

    def __init__(self, place: data.StructLayout) -> None:
        self.place = place
        super().__init__(
            {
                "start": In(place),
                "along": In(place),
                "across": In(place),
                "step": In(1),
                "begin": In(1),
                "cross": In(1),
                "resume": In(1),
                "at": Out(place),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        # `mark`: where the block at hand begins; `behind`: where the first line's block ended.
        here, mark, behind, following, target = (
            Signal(self.place, name=name, reset_less=True)
            for name in ("here", "mark", "behind", "following", "target")
        )
        first_line = Signal()
        m.d.comb += [self.at.eq(here), following.eq(here)]
        with m.If(self.step):
            m.d.comb += _each(following, here, self.along)
        m.d.comb += target.eq(self.start)
        with m.If(self.cross):
            m.d.comb += _each(target, mark, self.across)
        with m.Elif(self.resume):
            m.d.comb += target.eq(Mux(first_line, following, behind))
        m.d.sync += here.eq(following)
        with m.If(self.begin | self.cross | self.resume):
            m.d.sync += [here.eq(target), mark.eq(target), first_line.eq(~self.cross)]
        with m.If(self.cross & first_line):
            m.d.sync += behind.eq(following)
        return m


def _each(to: Any, place: Any, step: Any) -> list[Any]:
    """Assignments of ``place`` plus ``step``, number by number."""
    return [to[name].eq(place[name] + step[name]) for name, _ in to.shape()]
