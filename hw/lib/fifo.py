"""Queue on a `Memory`: first word falls through, one word in and one out per cycle."""

from typing import Any

from amaranth.hdl import Module, Mux, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from hw.lib.memory import Memory


class Fifo(wiring.Component):
    """First-in first-out queue: ``depth`` words in memory and one at the output.

    A word takes two cycles from the input of an empty queue to the output. ``level`` counts all
    words held; ``depth - level`` more may be pushed without looking at ``i.ready``.
    """

    def __init__(self, shape: ShapeLike, depth: int) -> None:
        self.depth = depth
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "o": Out(stream.Signature(shape)),
                "level": Out(range(depth + 2)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        depth = self.depth
        width = len(self.i.p.as_value()) if hasattr(self.i.p, "as_value") else len(self.i.p)
        m.submodules.mem = mem = Memory(width, depth)
        stored = Signal(range(depth + 1))
        write_at, read_at = Signal(ceil_log2(depth) or 1), Signal(ceil_log2(depth) or 1)
        valid, push, pop, fetch = Signal(), Signal(), Signal(), Signal()

        def following(at: Signal) -> Any:
            return Mux(at == depth - 1, 0, at + 1)

        m.d.comb += [
            self.i.ready.eq(stored != depth),
            push.eq(self.i.valid & self.i.ready),
            pop.eq(valid & self.o.ready),
            fetch.eq((stored != 0) & (~valid | pop)),
            mem.wr_en.eq(push),
            mem.wr_addr.eq(write_at),
            mem.wr_data.eq(self.i.p),
            mem.rd_en.eq(fetch),
            mem.rd_addr.eq(read_at),
            self.o.p.eq(mem.rd_data),
            self.o.valid.eq(valid),
            self.level.eq(stored + valid),
        ]
        m.d.sync += [stored.eq(stored + push - fetch), valid.eq(fetch | (valid & ~pop))]
        with m.If(push):
            m.d.sync += write_at.eq(following(write_at))
        with m.If(fetch):
            m.d.sync += read_at.eq(following(read_at))
        return m
