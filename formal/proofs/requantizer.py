"""Requantizer: a shift either way with rounding and saturation, as the golden model defines it."""

from typing import Any, ClassVar

from amaranth.hdl import C, Mux, Signal, Value, signed

from formal.kit.proof import Bench, Mutant, Proof
from golden.ops.requantize import Requantize
from hw.array.drain.requantizer import Requantizer


class RequantizerProof(Proof):
    """``saturate(rshr(acc, shift), 8)`` as `golden.ops.Requantize`, every ``acc`` and ``shift``."""

    unit = "requantizer"
    target = Requantizer
    reach = 5
    variants: ClassVar = {
        f"{acc} bits, shifts of {shift} bits": {"acc": acc, "shift": shift}
        for acc, shift in ((12, 5), (32, 6))
    }
    mutants = (
        Mutant(old="Const(0, bits + 1)", new="Const(0, bits)"),
        Mutant(old="i + 1 if i < half else 0", new="i if i < half else 0"),
        Mutant(old="high[-1] & ~high.all()", new="high[-1]"),
        Mutant(old="low & ~negative.replicate(len(low))", new="low"),
    )

    def bench(self, target: Any, *, acc: int, shift: int) -> Bench:
        """The unit beside the definition, in enough bits for it."""
        bench = Bench()
        m = bench.m
        m.submodules.unit = unit = target(Requantize(acc_bits=acc, shift_bits=shift))
        # A cycle later, as the engine wants something to remember.
        m.d.sync += [unit.acc.eq(bench.free("any", acc)), unit.shift.eq(bench.free("by", shift))]
        wide = Signal(signed(acc + (1 << shift - 1)))
        m.d.comb += wide.eq(shifted(unit.acc, unit.shift))
        bench.promise("equal", unit.y == saturated(wide, 8))
        bench.cover("too_large", (wide > 130) & (unit.shift > 0))
        bench.cover("too_small", (wide < -130) & (unit.shift < 0))
        bench.cover("rounded_over_the_top", (wide == 128) & (unit.acc >> 2 == 127))
        bench.cover("half_below_zero", (unit.shift == 1) & (unit.acc == -3) & (unit.y == -1))
        return bench


def shifted(value: Value, shift: Value) -> Value:
    """``rshr(value, shift)`` of golden.ops.rounding; a left shift where ``shift`` is negative."""
    left = (-shift)[: len(shift)].as_unsigned()
    right = shift[:-1].as_unsigned()
    half = (C(1, 1) << right) >> 1
    return Mux(shift < 0, value << left, (value + half) >> right)


def saturated(value: Value, bits: int) -> Value:
    """The nearest number of so many bits, signed."""
    least, most = -(1 << bits - 1), (1 << bits - 1) - 1
    return Mux(value < least, least, Mux(value > most, most, value))
