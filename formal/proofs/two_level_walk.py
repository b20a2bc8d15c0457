"""TwoLevelWalk: the place is start, so many steps along, so many across, without a product."""

from typing import Any

from amaranth.hdl import Mux, Signal
from amaranth.lib import data

from formal.kit.proof import Bench, Mutant, Proof
from hw.lib.two_level_walk import TwoLevelWalk

#: Numbers of a place, of different widths: each wraps at its own.
PLACE = data.StructLayout({"wide": 4, "narrow": 2})
COUNT_BITS = 4


class TwoLevelWalkProof(Proof):
    """``at`` is ``start + i*along + j*across``, by products of counters, in either order of loops.

    Any pulses and steps, with steps that stay the same. Bounded: two blocks of two lines fit in
    the depth (cover).
    """

    unit = "two_level_walk"
    target = TwoLevelWalk
    depth = reach = 8
    mutants = (
        Mutant(old="_each(following, here, self.along)", new="_each(following, mark, self.along)"),
        Mutant(old="_each(target, mark, self.across)", new="_each(target, here, self.across)"),
        Mutant(old="Mux(first_line, following, behind)", new="behind"),
        Mutant(old="first_line.eq(~self.cross)", new="first_line.eq(1)"),
        Mutant(old="mark.eq(target)", new="mark.eq(here)"),
    )

    def bench(self, target: Any) -> Bench:
        """The walk beside counters of steps along and across."""
        bench = Bench()
        m = bench.m
        m.submodules.unit = unit = target(PLACE)
        bench.free_inputs(unit)
        steps = Signal(2 * PLACE.size)
        again = Signal()
        given = unit.along.as_value() | unit.across.as_value() << PLACE.size
        m.d.sync += [steps.eq(given), again.eq(1)]
        bench.assume(~again | (steps == given))
        pulses = unit.begin + unit.cross + unit.resume
        bench.assume(pulses <= 1)

        def count(name: str) -> Signal:
            return Signal(COUNT_BITS, name=name)

        begun, crossed, start = Signal(), Signal(), Signal(PLACE)
        i, j, block, end = count("i"), count("j"), count("block"), count("end")
        after = count("after")
        m.d.comb += after.eq(i + unit.step)
        m.d.sync += i.eq(after)
        with m.If(unit.begin):
            m.d.sync += [begun.eq(1), start.eq(unit.start)]
            m.d.sync += [i.eq(0), j.eq(0), block.eq(0), crossed.eq(0)]
        with m.Elif(unit.cross):
            m.d.sync += [i.eq(block), j.eq(j + 1), crossed.eq(1)]
            with m.If(~crossed):
                m.d.sync += end.eq(after)
        with m.Elif(unit.resume):
            back = Mux(crossed, end, after)
            m.d.sync += [i.eq(back), block.eq(back), j.eq(Mux(crossed, 0, j)), crossed.eq(0)]
        for name, _ in PLACE:
            wanted = Signal(PLACE[name].shape, name=f"wanted_{name}")
            m.d.comb += wanted.eq(start[name] + i * unit.along[name] + j * unit.across[name])
            bench.promise(name, ~begun | (unit.at[name] == wanted))
        bench.cover("second_line", begun & (i == 2) & (j == 1) & (unit.at.wide == 9))
        bench.cover("second_block", begun & crossed & (block == 2) & (i == 2) & (j == 1))
        bench.cover("no_line_crossed", begun & ~crossed & (block == 1) & unit.resume)
        return bench
