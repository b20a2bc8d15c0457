"""Short queue in registers, for a few words that must not cost a memory."""

from typing import Any

from amaranth.hdl import Array, Module, Mux, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class RegisterQueue(wiring.Component):
    """First-in first-out queue of ``capacity`` words; a word shows one cycle after it enters.

    ``i.ready`` does not depend on ``o.ready``: with capacity 1 a word passes every other cycle.
    ``level`` counts the words held.
    """

    def __init__(self, shape: ShapeLike, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"a queue holds at least 1 word, not {capacity}")
        self.capacity = capacity
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "o": Out(stream.Signature(shape)),
                "level": Out(range(capacity + 1)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        words = Array(
            Signal.like(self.i.p, name=f"word{n}", reset_less=True) for n in range(self.capacity)
        )
        index = range(max(2, self.capacity))
        write_at, read_at = Signal(index), Signal(index)
        push, pop = Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(self.level != self.capacity),
            self.o.valid.eq(self.level != 0),
            self.o.p.eq(words[read_at]),
            push.eq(self.i.valid & self.i.ready),
            pop.eq(self.o.valid & self.o.ready),
        ]
        m.d.sync += self.level.eq(self.level + push - pop)
        last = self.capacity - 1
        with m.If(push):
            m.d.sync += [
                words[write_at].eq(self.i.p),
                write_at.eq(Mux(write_at == last, 0, write_at + 1)),
            ]
        with m.If(pop):
            m.d.sync += read_at.eq(Mux(read_at == last, 0, read_at + 1))
        return m
