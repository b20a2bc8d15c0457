"""LOAD unit: a legal AXI4 read master that never leaves the window, errors and stops included."""

from typing import Any

from amaranth.hdl import Signal

from formal.kit.proof import Bench, Mutant, Proof
from hw.bus.axi import ADDR_BITS, RESP_OKAY
from hw.config import preset
from hw.dma.load_unit import LoadUnit
from hw.rules.axi_read_rules import AxiReadRules
from hw.rules.rule_set import Side

OUTSTANDING = 2


class LoadUnitProof(Proof):
    """Every rule of a read master in short loads and gathers of any kind; quiet means quiet.

    Bounded: whole bursts and their data fit in the depth (covers).
    """

    unit = "load_unit"
    target = LoadUnit
    depth = 12
    reach = 12
    mutants = (
        Mutant(old="issuer.ended.eq(axi.r.valid & axi.r.ready & axi.r.p.last)",
               new="issuer.ended.eq(axi.r.valid & axi.r.ready)"),
        Mutant(old="self.quiet.eq(halted & ~issuer.pending)", new="self.quiet.eq(halted)"),
        Mutant(old="issuer.limit.eq(self.limit)", new="issuer.limit.eq(self.limit << 1)"),
        Mutant(old="with m.If(writer.bus_fault):", new="with m.If(0):", blocks="error_answer"),
    )  # fmt: skip

    def bench(self, target: Any) -> Bench:
        """A slave that keeps the rules, memories that take or wait; window and bursts are small."""
        bench = Bench()
        m = bench.m
        config = preset("tiny").change(outstanding=OUTSTANDING, burst_beats=4)
        m.submodules.unit = unit = target(config)
        bench.free_inputs(unit)
        window, started = Signal(ADDR_BITS), Signal()
        m.d.sync += [started.eq(1), window.eq(unit.base)]
        bench.assume(~started | (window == unit.base))
        bench.assume(unit.base == 0x1_FE0)  # bursts near a page's end
        bench.assume(unit.limit == 0x200)
        rules = AxiReadRules(unit.axi, config.axi_bytes, OUTSTANDING)
        address = unit.axi.ar.payload
        end = address.addr + ((address.len + 1) << (config.axi_bytes - 1).bit_length())
        bench.check("axi", rules, Side.MASTER, skip=("ar_long_burst",))
        bench.promise("in_window", ~unit.axi.ar.valid | (
            (address.addr >= unit.base) & (end <= unit.base + unit.limit)
        ))  # fmt: skip
        bench.promise("quiet_means_quiet", ~unit.quiet | (
            ~unit.axi.ar.valid & (rules.unanswered == 0)
        ))  # fmt: skip
        answered = unit.axi.r.valid & unit.axi.r.ready
        bench.cover("done", unit.done)
        bench.cover("error_answer", unit.bus_fault)
        bench.cover("data", answered & (unit.axi.r.payload.resp == RESP_OKAY))
        return bench
