"""Bus beats to memory words, wider or narrower than the bus."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out


class Gearbox(wiring.Component):
    """Assembles words of ``word_bytes[select]`` bytes from beats, or cuts beats into words.

    Sizes are powers of two. A wide word takes its beats least significant first; a narrow one
    shares its beat with others, least significant first. One beat in per cycle for wide words, one
    word out per cycle for narrow ones, each word the cycle after its (last) beat.

    Members
    -------
    select : index of the word size; changes only while nothing is held.
    i : beats; ``o`` : words in the low bytes (the rest is undefined).
    last : the word shown ends its sequence; the rest of its beat is dropped.
    clear : drop all that is held. freed : the beats held are used up in this cycle.
    held, bytes_ : number and bytes of the beats held, for who cuts words of his own out of them.
    """

    def __init__(self, beat_bytes: int, word_bytes: Sequence[int]) -> None:
        for size in (beat_bytes, *word_bytes):
            if size < 1 or size & (size - 1):
                raise ValueError(f"sizes must be powers of two, got {size}")
        self.beat_bytes = beat_bytes
        self.word_bytes = tuple(word_bytes)
        self.slots = slots = max(1, max(word_bytes) // beat_bytes)
        super().__init__(
            {
                "select": In(range(len(self.word_bytes))),
                "i": In(stream.Signature(8 * beat_bytes)),
                "o": Out(stream.Signature(data.ArrayLayout(8, max(self.word_bytes)))),
                "last": In(1),
                "clear": In(1),
                "freed": Out(1),
                "held": Out(range(slots + 1)),
                "bytes_": Out(8 * beat_bytes * slots),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        beat = self.beat_bytes
        parts = max(1, beat // min(self.word_bytes))

        def of_word(counts: list[int]) -> Any:
            bits = max(1, max(counts).bit_length())
            return Array(Const(n, bits) for n in counts)[self.select]

        held = [Signal(8 * beat, name=f"slot{n}", reset_less=True) for n in range(self.slots)]
        filled, part = self.held, Signal(range(parts))
        full, load, pop = Signal(), Signal(), Signal()
        m.d.comb += [
            full.eq(filled == of_word([max(1, size // beat) for size in self.word_bytes])),
            self.o.valid.eq(full),
            pop.eq(full & self.o.ready),
            self.bytes_.eq(Cat(*held)),
            self.freed.eq(
                self.clear
                | pop
                & (
                    self.last
                    | (part == of_word([max(1, beat // size) - 1 for size in self.word_bytes]))
                )
            ),
            self.i.ready.eq(~full | self.freed),
            load.eq(self.i.valid & self.i.ready),
        ]
        with m.Switch(self.select):
            for n, size in enumerate(self.word_bytes):
                with m.Case(n):
                    word = Cat(*held)[: 8 * size]
                    if size < beat:
                        word = held[0].word_select(part, 8 * size)
                    m.d.comb += self.o.p.as_value()[: 8 * size].eq(word)
        with m.If(self.freed):
            m.d.sync += [filled.eq(load), part.eq(0)]
        with m.Else():
            m.d.sync += [filled.eq(filled + load), part.eq(part + pop)]
        for n, slot in enumerate(held):
            with m.If(load & ((filled == n) | (self.freed & (n == 0)))):
                m.d.sync += slot.eq(self.i.p)
        return m
