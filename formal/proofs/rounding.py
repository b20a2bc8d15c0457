"""Rounding shift with saturation: equal to the expression that the golden model computes."""

from typing import Any, ClassVar

from amaranth.hdl import C, Mux, Signal, signed

from formal.kit.proof import Bench, Mutant, Proof
from hw.lib.rounding import round_shift


class RoundShiftProof(Proof):
    """``saturate(rshr(x, s), bits)`` as in golden.ops.rounding, for every ``x`` and ``s``."""

    unit = "rounding"
    target = staticmethod(round_shift)
    variants: ClassVar = {
        f"{width} to {bits} bits, shifts of {places} bits": {
            "width": width, "places": places, "bits": bits
        }
        for width, places, bits in ((10, 3, 4), (24, 4, 8), (32, 5, 8))
    }  # fmt: skip
    mutants = (
        Mutant(old="x[1 : bits + 1] + x[0]", new="x[1 : bits + 1]"),
        Mutant(old="(Cat(outside).any() | rounded[-1])", new="Cat(outside).any()"),
        Mutant(old="below.eq(sign & Cat(outside).any())", new="below.eq(sign & ~sign)"),
        Mutant(old="sign & (rounded[-1] | below)", new="sign"),
    )

    def bench(self, target: Any, *, width: int, places: int, bits: int) -> Bench:
        """The hardware's expression beside the definition, in enough bits for it."""
        bench = Bench()
        m = bench.m
        # A cycle later, as the engine wants something to remember.
        value, shift = Signal(signed(width)), Signal(places)
        m.d.sync += [value.eq(bench.free("any", width)), shift.eq(bench.free("by", places))]
        found = target(m, value << 1, shift, bits, "proven")
        wide = Signal(signed(width + 2))
        half = (C(1, 1) << shift) >> 1
        m.d.comb += wide.eq((value + half) >> shift)
        least, most = -(1 << bits - 1), (1 << bits - 1) - 1
        wanted = Mux(wide < least, least, Mux(wide > most, most, wide))
        bench.promise("equal", found == wanted)
        bench.cover("too_large", wide > most + 3)
        bench.cover("too_small", wide < least - 3)
        bench.cover("rounded_over_the_top", (wide == most + 1) & (value >> shift == most))
        bench.cover("half_below_zero", (shift == 1) & (value == -3) & (found == -1))
        return bench
