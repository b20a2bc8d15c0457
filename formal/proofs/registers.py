"""Registers: every rule of AXI4-Lite kept as a slave."""

from typing import Any

from formal.kit.proof import Bench, Mutant, Proof
from hw.config import preset
from hw.host.registers import Registers
from hw.rules.axi_lite_rules import AxiLiteRules
from hw.rules.rule_set import Side

COUNTER_NAMES = ("cycles", "macs", "bytes")


class RegistersBusProof(Proof):
    """The slave keeps every rule of AXI4-Lite, whatever the order of addresses and data."""

    unit = "registers"
    target = Registers
    mutants = (
        Mutant(old="w.ready.eq(~supplied)", new="w.ready.eq(1)"),
        Mutant(old="addressed & supplied & ~b.valid", new="addressed & ~b.valid"),
        Mutant(old="ar.ready.eq(~r.valid & ~waiting)", new="ar.ready.eq(1)"),
        Mutant(old="with m.If(b.ready):", new="with m.If(1):"),
    )  # fmt: skip

    def bench(self, target: Any) -> Bench:
        """A master that keeps the rules; everything behind the registers free."""
        bench = Bench()
        bench.m.submodules.unit = unit = target(preset("tiny"), COUNTER_NAMES)
        bench.free_inputs(unit)
        bench.check("bus", AxiLiteRules(unit.bus), Side.SLAVE, skip=("ar_waits",))
        return bench
