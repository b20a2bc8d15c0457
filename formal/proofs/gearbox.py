"""Gearbox: bytes come out in the order in which they went in, none lost, none kept back."""

from typing import Any, ClassVar

from amaranth.hdl import Array, Cat, Const, Mux, Signal

from formal.kit.proof import Bench, Mutant, Proof
from hw.lib.gearbox import Gearbox
from hw.rules.rule_set import Side
from hw.rules.stream_rules import StreamRules

BEAT = 2


class GearboxProof(Proof):
    """Equals a list of bytes: beats are appended, words taken off, the rest of a last one dropped.

    Words of half a beat, a beat and two beats, chosen once, clears included. Nothing waits that
    could go on.
    """

    unit = "gearbox"
    target = Gearbox
    reach = 9
    variants: ClassVar = {
        f"words of {words[size]}": {"words": words, "size": size}
        for words in ((1, 2, 4),) for size in range(3)
    }  # fmt: skip
    mutants = (
        Mutant(old="self.i.ready.eq(~full | self.freed)", new="self.i.ready.eq(~full)"),
        Mutant(old="filled.eq(load), part.eq(0)", new="filled.eq(0), part.eq(0)"),
        Mutant(old="self.freed & (n == 0)", new="(n == 0)", only={"size": (2,)}),
        Mutant(old="held[0].word_select(part, 8 * size)", new="held[0][: 8 * size]",
               only={"size": (0,)}),
        Mutant(old="self.clear\n                |", new=""),
    )  # fmt: skip

    def bench(self, target: Any, *, words: tuple[int, ...], size: int) -> Bench:
        """A box beside the list of the bytes that it holds."""
        bench = Bench()
        m = bench.m
        m.submodules.unit = unit = target(BEAT, words)
        bench.free_inputs(unit, but=("select",))
        m.d.comb += unit.select.eq(size)
        word, room = words[size], max(BEAT, words[size])
        count = Signal(range(room + 1))
        held = [Signal(8, name=f"byte{n}") for n in range(room)]
        push, pop = unit.i.valid & unit.i.ready, unit.o.valid & unit.o.ready
        drop = unit.clear | (pop & unit.last)
        left = Signal(range(room + 1))
        m.d.comb += left.eq(Mux(drop, 0, count - Mux(pop, word, 0)))
        m.d.sync += count.eq(left + Mux(push, BEAT, 0))
        fresh = [unit.i.payload.word_select(n, 8) for n in range(BEAT)]
        for n, byte in enumerate(held):
            later = Mux(pop, held[n + word] if n + word < room else 0, byte)
            new = Array([*fresh, Const(0, 8)])[(n - left)[:2]]
            m.d.sync += byte.eq(Mux(n < left, later, new))
        shown = unit.o.payload.as_value()[: 8 * word]
        # A box that is cleared shows what it held until the cycle is over.
        stays = StreamRules(unit.o)
        m.submodules.o = stays
        cleared = Signal()
        m.d.sync += cleared.eq(unit.clear)
        for rule in stays.rules:
            if rule.side is Side.MASTER:
                bench.promise(rule.name, rule.holds | cleared)
            else:
                bench.assume(rule.holds)
        bench.promise("whole_words", unit.o.valid == (count >= word))
        bench.promise("in_order", ~unit.o.valid | (shown == Cat(*held[:word])))
        bench.promise("takes_what_fits", unit.i.ready == (left + BEAT <= room))
        bench.cover("word_of_new_bytes", pop & (shown == 0x0102_0304 & (1 << 8 * word) - 1))
        bench.cover("both_ways", push & pop)
        bench.cover("cleared", unit.clear & (count != 0) & push)
        return bench
