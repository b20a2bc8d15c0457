"""ResidualAdder: both terms aligned, added, and rounded once, as the golden model defines it."""

from typing import Any, ClassVar

from amaranth.hdl import Signal, signed

from formal.kit.proof import Bench, Mutant, Proof
from formal.proofs.requantizer import saturated, shifted
from golden.ops.residual import ResidualAdd
from hw.array.drain.residual_adder import ResidualAdder


class ResidualAdderProof(Proof):
    """Equals `golden.ops.ResidualAdd` for every input whose aligned terms and sum fit.

    The golden model refuses any other input, and the compiler shows that there is none. Narrow
    sums in the first variant, the hardware's own in the second.
    """

    unit = "residual_adder"
    target = ResidualAdder
    reach = 6
    variants: ClassVar = {
        f"sums of {total} bits": {"total": total, "old": old, "align": align, "shift": shift}
        for total, old, align, shift in ((16, 8, 3, 5), (32, 16, 5, 6))
    }
    mutants = (
        Mutant(old="self.acc << self.la", new="self.acc << self.lo"),
        Mutant(old="self.old << self.lo", new="self.old"),
        Mutant(old="total.eq(aligned + old)", new="total.eq(aligned - old)"),
        Mutant(old="rounder.shift.eq(self.shift)", new="rounder.shift.eq(self.shift + 1)"),
        Mutant(old="rounder.acc.eq(total)", new="rounder.acc.eq(total ^ (total == 3))"),
    )

    def bench(self, target: Any, *, total: int, old: int, align: int, shift: int) -> Bench:
        """The pipeline beside its arithmetic in enough bits."""
        bench = Bench()
        m = bench.m
        params = ResidualAdd(sum_bits=total, old_bits=old, align_bits=align, shift_bits=shift)
        m.submodules.unit = unit = target(params)
        bench.free_inputs(unit)
        most = (1 << align) - 1
        aligned, exact = Signal(signed(total + most)), Signal(signed(total + most + 1))
        m.d.comb += [
            aligned.eq(unit.acc << unit.la),
            exact.eq(aligned + (unit.old << unit.lo)),
        ]
        for value in (aligned, exact):
            bench.assume((value >= -(1 << total - 1)) & (value < 1 << total - 1))
        summed, rounded, y = Signal(signed(total)), Signal(signed(total + 32)), Signal(signed(8))
        m.d.comb += rounded.eq(shifted(summed, unit.shift))
        m.d.sync += [summed.eq(exact), y.eq(saturated(rounded, 8))]
        bench.promise("sum", unit.sum == summed)
        bench.promise("rounded", unit.y == y)
        bench.cover("both_count", (unit.la == 2) & (unit.lo == 1) & (exact == 6))
        bench.cover("cancelled", (unit.acc == 12) & (unit.old == -3) & (exact == 0))
        bench.cover("saturated", (unit.y == 127) & (unit.sum < 0))
        return bench
