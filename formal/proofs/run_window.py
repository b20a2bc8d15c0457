"""RunWindow: its verdicts are their definitions, and nothing but `take` changes the window."""

from typing import Any, ClassVar

from amaranth.hdl import Signal

from formal.kit.proof import Bench, Mutant, Proof
from hw.bus.widths import ADDR_BITS
from hw.config import preset
from hw.host.run_window import RunWindow


class RunWindowProof(Proof):
    """A window is refused exactly if it is off the bus's grid or leaves the address space."""

    unit = "run_window"
    target = RunWindow
    variants: ClassVar = {f"bus of {n}": {"bus": n} for n in (4, 64)}
    mutants = (
        Mutant(old="end > 1 << space", new="end >= 1 << space"),
        Mutant(old="end = Signal(ADDR_BITS + 1)", new="end = Signal(ADDR_BITS)"),
        Mutant(old="| self.base[:size].any()", new=""),
        Mutant(old="with m.If(self.take):", new="with m.If(1):"),
    )

    def bench(self, target: Any, *, bus: int) -> Bench:
        """Registers that change at any time."""
        bench = Bench()
        config = preset("tiny").change(axi_bytes=bus, const_rows=256)
        bench.m.submodules.unit = unit = target(config)
        bench.free_inputs(unit)
        base, size = Signal(ADDR_BITS, name="model_base"), Signal(32, name="model_size")
        offset = Signal(32, name="model_offset")
        with bench.m.If(unit.take):
            bench.m.d.sync += [
                base.eq(unit.window_base), size.eq(unit.window_size),
                offset.eq(unit.program_offset),
            ]  # fmt: skip
        space = 1 << ADDR_BITS
        bench.promise("kept", (unit.base == base) & (unit.limit == size))
        bench.promise("window", unit.illegal_window == ((base + size > space) | (base % bus != 0)))
        bench.promise("program", unit.illegal_program == (offset % bus != 0))
        bench.cover(
            "up_to_the_last_byte", (base + size == space) & ~unit.illegal_window & (size != 0)
        )
        bench.cover("wraps", unit.illegal_window & (base % bus == 0))
        bench.cover("ragged", unit.illegal_program & ~unit.illegal_window)
        return bench
