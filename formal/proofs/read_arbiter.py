"""ReadArbiter: a legal master towards the bus, a legal slave towards both of its masters."""

from typing import Any

from formal.kit.proof import Bench, Mutant, Proof
from hw.bus.read_arbiter import ReadArbiter
from hw.config import preset
from hw.rules.axi_read_rules import AxiReadRules
from hw.rules.rule_set import Side

OUTSTANDING = 1


class ReadArbiterProof(Proof):
    """Addresses are never changed or withdrawn, and data go to the master that asked for them."""

    unit = "read_arbiter"
    target = ReadArbiter
    depth = 10
    reach = 10
    mutants = (
        Mutant(old="owners.i.p.eq(fetch.ar.valid)", new="owners.i.p.eq(load.ar.valid)"),
        Mutant(old="load.ar.ready.eq(room & ~fetch.ar.valid)", new="load.ar.ready.eq(room)"),
        Mutant(old="with m.If(~valid | bus.ar.ready):", new="with m.If(1):"),
        Mutant(old="bus.r.valid & bus.r.ready & bus.r.p.last", new="bus.r.valid & bus.r.p.last"),
    )

    def bench(self, target: Any) -> Bench:
        """Two masters and a slave that keep the rules."""
        bench = Bench()
        config = preset("tiny").change(outstanding=OUTSTANDING)
        bench.m.submodules.unit = unit = target(config)
        bench.free_inputs(unit)
        size = config.axi_bytes
        covers = ("ar_long_burst", "r_waits", "ar_waits", "whole_burst", "two_unanswered")
        bench.check("fetch", AxiReadRules(unit.fetch, size, 3), Side.SLAVE, skip=covers)
        bench.check("load", AxiReadRules(unit.load, size, 3), Side.SLAVE, skip=covers)
        bench.check("bus", AxiReadRules(unit.bus, size, OUTSTANDING + 1), Side.MASTER)
        both = unit.fetch.ar.valid & unit.load.ar.valid & unit.fetch.ar.ready
        bench.cover("both_ask", both)
        return bench
