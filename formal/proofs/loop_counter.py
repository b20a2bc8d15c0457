"""LoopCounter: the first turn and the last one are told, round and round."""

from typing import Any, ClassVar

from amaranth.hdl import Mux, Signal

from formal.kit.proof import Bench, Mutant, Proof
from hw.lib.loop_counter import LoopCounter


class LoopCounterProof(Proof):
    """``first`` and ``last`` are those of a turn counted modulo the number that began the loop."""

    unit = "loop_counter"
    target = LoopCounter
    reach = 8
    variants: ClassVar = {f"{bits} bits": {"bits": bits} for bits in (1, 3, 5)}
    mutants = (
        Mutant(old="Mux(self.last, 0, turn + 1)", new="turn + 1", only={"bits": (3, 5)}),
        Mutant(old="total == 1", new="0"),
        Mutant(old="turn + 2 == total", new="turn + 1 == total", only={"bits": (3, 5)}),
        Mutant(old="self.last.eq(self.turns == 1)", new="self.last.eq(0)"),
        Mutant(old="with m.If(self.begin):", new="with m.Elif(self.begin):"),
        Mutant(old="self.first.eq(turn == 0)", new="self.first.eq(1)", only={"bits": (3, 5)}),
        Mutant(old="self.first.eq(turn == 0)", new="self.first.eq(0)"),
    )

    def bench(self, target: Any, *, bits: int) -> Bench:
        """Any loops and steps beside a counter of turns."""
        bench = Bench()
        m = bench.m
        m.submodules.unit = unit = target(bits)
        bench.free_inputs(unit)
        bench.assume(~unit.begin | (unit.turns != 0))
        begun, turn, total = Signal(), Signal(bits), Signal(bits)
        final = turn == total - 1
        with m.If(unit.step):
            m.d.sync += turn.eq(Mux(final, 0, turn + 1))
        with m.If(unit.begin):
            m.d.sync += [begun.eq(1), turn.eq(0), total.eq(unit.turns)]
        bench.promise("first", ~begun | (unit.first == (turn == 0)))
        bench.promise("last", ~begun | (unit.last == final))
        bench.cover("round", begun & unit.step & final)
        bench.cover("again", begun & unit.begin & unit.step)
        if bits > 1:
            bench.cover("middle", begun & ~unit.first & ~unit.last)
        return bench
