"""Registers: AXI4-Lite kept as a slave, and every address answers as the exported map says."""

from typing import Any, ClassVar

from amaranth.hdl import Mux, Signal

from formal.kit.proof import Bench, Mutant, Proof
from hw.bus.axi import RESP_OKAY, RESP_SLVERR
from hw.config import preset
from hw.host.register_map import COUNTERS
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


class RegistersMapProof(Proof):
    """What is written is what is read, only there; constants, SLVERR and pulses as in the map."""

    unit = "registers"
    target = Registers
    depth = 9
    reach = 9
    variants: ClassVar = {"window_base_lo": {"register": "WINDOW_BASE_LO"}}
    mutants = (
        Mutant(old="value & mask", new="value"),
        Mutant(old="(held[r.name] & ~mask) | command", new="held[r.name] | command"),
        Mutant(old="with m.Case(register.offset >> 2):",
               new="with m.Case((register.offset >> 2) ^ (register.access == 'rw')):"),
        Mutant(old="with m.Case(r.offset >> 2):", new="with m.Case((r.offset >> 2) ^ 1):"),
    )  # fmt: skip

    def bench(self, target: Any, *, register: str) -> Bench:
        """Beside the slave, a copy of ``register`` that follows the bus."""
        bench = Bench()
        m = bench.m
        m.submodules.unit = unit = target(preset("tiny"), COUNTER_NAMES)
        bench.free_inputs(unit)
        bench.check("bus", AxiLiteRules(unit.bus), Side.SLAVE,
                    skip=("ar_waits", "b_waits", "r_waits", "aw_waits", "w_waits"))  # fmt: skip
        at = next(r for r in unit.map if r.name == register)
        bits = max(f.at + f.bits for f in at.fields)
        writable = {r.offset >> 2 for r in unit.map if r.access != "ro"}
        readable = {r.offset >> 2: r.value for r in unit.map}
        aw, w, b, ar, r = (getattr(unit.bus, n) for n in ("aw", "w", "b", "ar", "r"))

        model, asked, written = Signal(32), Signal(10), Signal(10)
        data, strobes = Signal(32), Signal(4)
        with m.If(aw.valid & aw.ready):
            m.d.sync += written.eq(aw.payload.addr[2:])
        with m.If(w.valid & w.ready):
            m.d.sync += [data.eq(w.payload.data), strobes.eq(w.payload.strb)]
        with m.If(ar.valid & ar.ready):
            m.d.sync += asked.eq(ar.payload.addr[2:])
        # A write acts when its response appears.
        answered, fresh = Signal(), Signal()
        m.d.sync += answered.eq(b.valid & ~b.ready)
        m.d.comb += fresh.eq(b.valid & ~answered)
        current = Signal(32)
        m.d.comb += current.eq(model)
        for lane in range(4):
            chosen = slice(8 * lane, 8 * lane + 8)
            hit = fresh & (written == at.offset >> 2) & strobes[lane]
            m.d.comb += current[chosen].eq(Mux(hit, data[chosen], model[chosen]))
        m.d.sync += model.eq(current & ((1 << bits) - 1))

        # The next address may come while a response waits.
        okay, answered_to, kept = Signal(), Signal(10), Signal(10)
        m.d.comb += [
            answered_to.eq(Mux(fresh, written, kept)),
            okay.eq(sum(answered_to == word for word in sorted(writable)) != 0),
        ]
        m.d.sync += kept.eq(answered_to)
        bench.promise(
            "write_response", ~b.valid | (b.payload.resp == Mux(okay, RESP_OKAY, RESP_SLVERR))
        )
        known = Signal()
        m.d.comb += known.eq(sum(asked == word for word in sorted(readable)) != 0)
        bench.promise(
            "read_response", ~r.valid | (r.payload.resp == Mux(known, RESP_OKAY, RESP_SLVERR))
        )
        seen = Signal(32)  # at the time of the address
        with m.If(ar.valid & ar.ready):
            m.d.sync += seen.eq(current & ((1 << bits) - 1))
        bench.promise("read_back", ~r.valid | (asked != at.offset >> 2) | (r.payload.data == seen))
        for word, value in readable.items():
            if value is not None and word < COUNTERS >> 2 and word % 4 == 0:
                bench.promise(f"constant_{word:x}",
                              ~r.valid | (asked != word) | (r.payload.data == value))  # fmt: skip
        bench.cover(
            "read_back_seen", r.valid & (asked == at.offset >> 2) & (r.payload.data[:2] == 3)
        )
        bench.cover("refused", r.valid & (r.payload.resp == RESP_SLVERR))
        return bench
