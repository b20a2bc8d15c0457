"""Semaphores: each counter counts its own pair of units, exactly, and tells of an overflow."""

from typing import Any, ClassVar

from amaranth.hdl import Mux, Signal

from formal.kit.proof import Bench, Mutant, Proof
from hw.isa.limits import SEMAPHORE_BITS
from hw.sequencer.semaphores import UNITS, Semaphores


class SemaphoresProof(Proof):
    """A counter is signals minus takes, touched by no other pair; it stays at its limit, told."""

    unit = "semaphores"
    target = Semaphores
    variants: ClassVar = {
        f"{p} to {c}": {"producer": p, "consumer": c} for p, c in ((0, 1), (4, 0), (2, 2))
    }
    mutants = (
        Mutant(old="count >= self.wait[c][p]", new="count > self.wait[c][p]"),
        Mutant(old="rest + self.signal[p][c]", new="rest + self.signal[c][p]",
               only={"producer": (0, 4)}),
        Mutant(old="Mux(full, count, rest", new="Mux(full, count, count"),
        Mutant(old="Mux(self.take[c], self.wait[c][p], 0)", new="self.wait[c][p]"),
    )  # fmt: skip

    def bench(self, target: Any, *, producer: int, consumer: int) -> Bench:
        """All inputs free, but for takes, which only come while everything fits."""
        bench = Bench()
        bench.m.submodules.unit = unit = target()
        bench.free_inputs(unit)
        limit = (1 << SEMAPHORE_BITS) - 1
        count = Signal(SEMAPHORE_BITS, name="model")
        wait = Signal(8, name="model_wait")
        bench.m.d.comb += wait.eq(unit.wait[consumer][producer])
        takes, signals = unit.take[consumer], unit.signal[producer][consumer]
        after = count - Mux(takes, wait, 0) + signals
        bench.m.d.sync += count.eq(Mux(after > limit, limit, after))
        for c in range(UNITS):
            bench.assume(~unit.take[c] | unit.fits[c].all())
        bench.promise("fits", unit.fits[consumer][producer] == (count >= wait))
        bench.promise("overflow_is_told", (after <= limit) | unit.overflow)
        others = [unit.signal[p] == 0 for p in range(UNITS) if p != producer]
        alone = sum(others) == len(others)
        only = unit.signal[producer] == (signals << consumer)
        bench.promise("no_false_alarm", ~(alone & only) | (unit.overflow == (after > limit)))
        bench.cover("taken", takes & (wait == 3) & (count == 3))
        bench.cover("taken_and_signalled", takes & signals & (wait == 1))
        return bench
