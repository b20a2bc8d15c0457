"""GeluTable: what was written comes back, in every column, for the input that it is for."""

from typing import Any, ClassVar

from amaranth.hdl import Mux, Signal

from formal.kit.proof import Bench, Mutant, Proof
from hw.array.drain.gelu_table import GeluTable


class GeluTableProof(Proof):
    """``y[c]`` is the entry last written for input ``x[c]``, and stays until the next look-up.

    One entry is followed, its neighbours written and read as well; entries at both ends and on
    both sides of zero, where the sign bit turns.
    """

    unit = "gelu_table"
    target = GeluTable
    reach = 6
    variants: ClassVar = {f"input {x}": {"x": x} for x in (-128, -1, 0, 127)}
    mutants = (
        Mutant(old="Cat(x[:-1], ~x[-1])", new="x"),
        Mutant(old="wr_addr.eq(self.load.payload.index)",
               new="wr_addr.eq(self.load.payload.index & 0xFE)"),
        Mutant(old="rd_en.eq(self.en)", new="rd_en.eq(1)"),
        Mutant(old="wr_en.eq(self.load.en)", new="wr_en.eq(self.load.en & (c == 0))"),
    )  # fmt: skip

    def bench(self, target: Any, *, x: int) -> Bench:
        """Two columns, any writes and look-ups, and the byte of one entry."""
        bench = Bench()
        m = bench.m
        m.submodules.unit = unit = target(columns=2)
        bench.free_inputs(unit)
        written, byte = Signal(), Signal(8)
        here = unit.load.en & (unit.load.payload.index == x + 128)
        with m.If(here):
            m.d.sync += [written.eq(1), byte.eq(unit.load.payload.byte)]
        for c in range(2):
            known, wanted = Signal(name=f"known{c}"), Signal(8, name=f"wanted{c}")
            # A look-up of an entry that is being written gives no defined word.
            with m.If(unit.en):
                m.d.sync += [known.eq(written & (unit.x[c] == x) & ~here), wanted.eq(byte)]
            bench.promise(f"column{c}", ~known | (unit.y[c].as_unsigned() == wanted))
            bench.cover(f"found{c}", known & (wanted == 0xA5) & (byte == 0x5A))
        bench.cover("rewritten", here & written & Mux(unit.en, byte == 3, 0))
        return bench
