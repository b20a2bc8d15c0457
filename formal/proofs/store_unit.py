"""STORE unit: a legal AXI4 write master that never leaves the window and waits for no AWREADY."""

from typing import Any, ClassVar

from amaranth.hdl import Signal

from formal.kit.proof import Bench, Mutant, Proof
from hw.bus.axi import RESP_OKAY
from hw.bus.widths import ADDR_BITS
from hw.config import preset
from hw.dma.store_unit import StoreUnit
from hw.rules.axi_write_rules import AxiWriteRules
from hw.rules.rule_set import Side

OUTSTANDING = 2


class StoreUnitProof(Proof):
    """Every rule of a write master in all of two short stores, stops and error responses included.

    Bounded: whole bursts, several of them, and their responses fit in the depth (covers).
    """

    unit = "store_unit"
    target = StoreUnit
    depth = 14
    reach = 14
    variants: ClassVar = {"any slave": {"deaf": False}}
    mutants = (
        Mutant(old="lengths.i.valid.eq(fire)",
               new="lengths.i.valid.eq(axi.aw.valid & axi.aw.ready)",
               blocks="first_beat", only={"deaf": (True,)}),
        Mutant(old="last.eq(index == lengths.o.p)", new="last.eq(index >= lengths.o.p - 1)"),
        Mutant(old="with m.If(room):", new="with m.If(1):"),
        Mutant(old="with m.If(free):\n            m.d.sync += axi.w.valid.eq(load)",
               new="m.d.sync += axi.w.valid.eq(load)"),
        Mutant(old="(waiting != config.outstanding) & ~halted", new="~halted",
               only={"deaf": (False,)}),
        Mutant(old="beat.strb.eq((~halted).replicate(config.axi_bytes))",
               new="beat.strb.eq((~halted).replicate(config.axi_bytes) ^ index)"),
    )  # fmt: skip

    def bench(self, target: Any, *, deaf: bool) -> Bench:
        """A slave that keeps the rules, or takes data and never an address; memories always there.

        Window and bursts are small, so that much happens in few cycles.
        """
        bench = Bench()
        m = bench.m
        config = preset("tiny").change(outstanding=OUTSTANDING, burst_beats=4)
        m.submodules.unit = unit = target(config)
        bench.free_inputs(unit)
        window = Signal(ADDR_BITS)
        started = Signal()
        m.d.sync += [started.eq(1), window.eq(unit.base)]
        bench.assume(~started | (window == unit.base))
        bench.assume(unit.base == 0x1_FE0)  # bursts near a page's end
        bench.assume(unit.limit == 0x200)
        rules = AxiWriteRules(unit.axi, config.axi_bytes, OUTSTANDING)
        address = unit.axi.aw.payload
        end = address.addr + ((address.len + 1) << (config.axi_bytes - 1).bit_length())
        skip: tuple[str, ...] = ("b_waits", "aw_long_burst", "w_waits")
        if deaf:
            bench.assume(~unit.axi.aw.ready)
            skip += ("response", "two_unanswered", "aw_waits")
        bench.check("axi", rules, Side.MASTER, skip=skip)
        bench.promise("in_window", ~unit.axi.aw.valid | (
            (address.addr >= unit.base) & (end <= unit.base + unit.limit)
        ))  # fmt: skip
        bench.promise("quiet_means_quiet", ~unit.quiet | (
            ~unit.axi.aw.valid & ~unit.axi.w.valid & (rules.undelivered == 0)
        ))  # fmt: skip
        bench.cover("first_beat", unit.axi.w.valid & unit.axi.w.ready)
        if not deaf:
            answered = unit.axi.b.valid & unit.axi.b.ready
            bench.cover("done", unit.done)
            bench.cover("error_answer", answered & (unit.axi.b.payload.resp != RESP_OKAY))
        return bench
