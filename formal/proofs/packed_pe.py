"""The processing element on shared multipliers: equal to two ordinary ones."""

from __future__ import annotations

from typing import Any, ClassVar

from amaranth.hdl import Cat

from formal.kit.proof import Bench, Mutant, Proof
from golden.ops.psmac import PsMac
from hw.array.mac.packed_pe import PackedPE
from hw.array.mac.pe import PE
from hw.precision import Precision


class PackedPEProof(Proof):
    """Either channel is a `PE` of its own, for any operands and control, one lane of both modes.

    Sums of lanes are beyond the engine; `tests/hw/array/test_pe.py` has every product in them, and
    the largest ones.
    """

    unit = "packed_pe"
    target = PackedPE
    reach = 5
    variants: ClassVar = {"8x8 and 8x4 bits": {"lanes": 1, "precision": Precision.W4A8}}
    mutants = (
        Mutant(old="total[i * PITCH :][:bits]", new="total[i * PITCH :][: bits - 1]"),
        Mutant(old="Const(0, PITCH - len(w0))", new="Const(0, PITCH - len(w0) - 4)"),
        Mutant(old="PITCH + bits", new="PITCH + bits - 1"),
        Mutant(old="hi << NIBBLE_BITS", new="hi << NIBBLE_BITS - 1"),
    )

    def bench(self, target: Any, *, lanes: int, precision: Precision) -> Bench:
        """The unit beside two ordinary ones that are given the same."""
        bench = Bench()
        psmac = PsMac(lanes=lanes)
        bench.m.submodules.unit = unit = target(psmac, precision)
        bench.free_inputs(unit)
        for c, channel in enumerate(unit.channels):
            bench.m.submodules[f"pe{c}"] = pe = PE(psmac, precision)
            shared = ("x_lo", "x_hi", "w4", "first", "load")
            own = ("w_lo", "w_hi", "w", "below")
            for source, names in ((unit, shared), (channel, own)):
                for name in names:
                    if name in pe.signature.members:
                        given, taken = getattr(source, name), getattr(pe, name)
                        if pe.signature.members[name].dimensions:
                            given, taken = Cat(*given), Cat(*taken)
                        bench.m.d.comb += taken.eq(given)
            bench.promise(f"sum{c}", channel.acc == pe.acc)
            bench.promise(f"drain{c}", channel.drain == pe.drain)
            bench.cover(f"largest{c}", channel.acc == lanes * 255 * 255)
        bench.cover("differ", unit.channels[0].drain != unit.channels[1].drain)
        return bench
