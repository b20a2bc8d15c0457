"""RangeWalk: every range of a job once, in order, evenly spaced, none after the last."""

from typing import Any, ClassVar

from amaranth.hdl import Mux, Signal

from formal.kit.proof import Bench, Mutant, Proof
from hw.bus.burst import LIMIT_BITS
from hw.bus.ranges import RangeWalk
from hw.rules.rule_set import Side
from hw.rules.stream_rules import StreamRules

BEATS_BITS = 4


class RangeWalkProof(Proof):
    """Offsets are the first one plus so many pitches, and ``more`` is told as long as it is true.

    Jobs of any length, offset and pitch, of whole beats and of at least one range, as the units
    that use the walk see to it.
    """

    unit = "range_walk"
    target = RangeWalk
    depth = 8
    reach = 8
    variants: ClassVar = {f"beats of {beat}": {"beat": beat} for beat in (4, 32)}
    mutants = (
        Mutant(old="at.eq(self.o.p.offset[grid:] + pitch)", new="at.eq(at + pitch)"),
        Mutant(old="left.eq(left - 1)", new="left.eq(left - 2)"),
        Mutant(
            old="self.i.ready.eq(self.o.ready & ~self.more)", new="self.i.ready.eq(self.o.ready)"
        ),
        Mutant(old="left.eq(new.runs - 1)", new="left.eq(new.runs)"),
    )

    def bench(self, target: Any, *, beat: int) -> Bench:
        """One job after the other beside their arithmetic."""
        bench = Bench()
        m = bench.m
        m.submodules.unit = unit = target(BEATS_BITS, beat)
        bench.free_inputs(unit)
        new, shown = unit.i.payload, unit.o.payload
        size = (beat - 1).bit_length()
        bench.assume(~unit.i.valid | (new.runs != 0))
        bench.assume(~new.offset[:size].any() & ~new.pitch[:size].any())
        offset, left = Signal(LIMIT_BITS + 1), Signal(len(new.runs))
        pitch, beats = Signal(len(new.pitch)), Signal(BEATS_BITS)
        first, moved = Signal(), Signal()
        at = Signal(LIMIT_BITS + 1)
        m.d.comb += [
            first.eq(left == 0),
            moved.eq(unit.o.valid & unit.o.ready),
            at.eq(Mux(first, new.offset, offset)),
        ]
        with m.If(moved):
            m.d.sync += [
                offset.eq(at + Mux(first, new.pitch, pitch)),
                left.eq(Mux(first, new.runs, left) - 1),
            ]
        with m.If(moved & first):
            m.d.sync += [pitch.eq(new.pitch), beats.eq(new.beats)]
        bench.check("i", StreamRules(unit.i), Side.SLAVE, skip=("stream_waits",))
        bench.check("o", StreamRules(unit.o), Side.MASTER)
        bench.promise("in_its_place", ~unit.o.valid | (shown.offset == at))
        bench.promise("whole", ~unit.o.valid | (shown.beats == Mux(first, new.beats, beats)))
        bench.promise("more_is_told", unit.more == ~first)
        bench.promise("job_for_job", (unit.i.valid & unit.i.ready) == (moved & first))
        bench.cover("three_ranges", moved & ~first & (left == 1) & (offset == 3 * beat))
        bench.cover("beyond_all_windows", unit.o.valid & shown.offset[LIMIT_BITS])
        bench.cover("next_job", moved & first & (beats == 3) & (new.beats == 5))
        return bench
