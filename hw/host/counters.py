"""Performance counters: short counters next to their events, swept into one memory of totals."""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from hw.lib.memory import Memory

TOTAL_BITS = 64


class Counters(wiring.Component):
    """One 64-bit total per event; ``widths`` maps its name to the bits of its increment.

    A register and an adder of 64 bits per event would cost more than a LayerNorm unit, so every
    event counts in a short register that a sweep adds to the event's word of a memory and zeroes,
    in the order of ``names``, every ``4 * len(names)`` cycles. A total read is the word plus
    the short register, both as they were two cycles before ``valid``. Choosing a short register
    and adding it are cycles of their own: together they would be the design's longest path.

    Members
    -------
    clear : all totals to zero (``inc`` of the same cycle is not counted).
    inc[i] : increment of ``names[i]`` in this cycle.
    index, read : ask for a total (``read`` for one cycle); ``valid`` pulses with it in ``total``,
        3 to 6 cycles later.
    """

    def __init__(self, widths: Mapping[str, int]) -> None:
        self.names = tuple(widths)
        self.widths = tuple(widths.values())
        index = range(len(self.names))
        super().__init__(
            {
                "clear": In(1),
                **{f"inc_{i}": In(width) for i, width in enumerate(self.widths)},
                "index": In(index),
                "read": In(1),
                "valid": Out(1),
                "total": Out(TOTAL_BITS),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        count = len(self.names)
        m.submodules.totals = mem = Memory(TOTAL_BITS, count)

        # Sweep: chosen and zeroed in phase 0, added in 1, written in 2. Read: 3, 0, given in 1.
        phase = Signal(2)
        at = Signal(range(count))
        swept = Signal()  # every word has been written since `clear`
        index, wanted, taking = Signal(range(count)), Signal(), Signal()
        chosen = Signal(range(count))
        last = Signal()
        m.d.comb += [chosen.eq(Mux(phase == 3, index, at)), last.eq(at == count - 1)]
        m.d.sync += phase.eq(phase + 1)

        longest = max(self.widths) + ceil_log2(4 * count)
        short, written = Signal(longest, reset_less=True), Signal()
        with m.Switch(chosen):
            for i, width in enumerate(self.widths):
                # 4 * count increments between two sweeps fit.
                part = Signal(width + ceil_log2(4 * count), name=f"short_{self.names[i]}")
                base = Signal(part.shape())
                m.d.comb += base.eq(Mux((phase == 0) & (at == i), 0, part))
                m.d.sync += part.eq(Mux(self.clear, 0, base + getattr(self, f"inc_{i}")))
                with m.Case(i):
                    m.d.sync += short.eq(part)

        total = Signal(TOTAL_BITS, reset_less=True)
        m.d.sync += [
            written.eq(swept | (chosen < at)),
            total.eq(Mux(written, mem.rd_data, 0) + short),
        ]
        m.d.comb += [
            self.total.eq(total),
            self.valid.eq(taking & (phase == 1)),
            mem.rd_en.eq((phase == 0) | (phase == 3)),
            mem.rd_addr.eq(chosen),
            mem.wr_en.eq(phase == 2),
            mem.wr_addr.eq(at),
            mem.wr_data.eq(total),
        ]
        with m.If(phase == 2):
            m.d.sync += [at.eq(Mux(last, 0, at + 1)), swept.eq(swept | last)]
        with m.If(phase == 3):
            m.d.sync += taking.eq(wanted)
        with m.If(self.valid):
            m.d.sync += [wanted.eq(0), taking.eq(0)]
        with m.If(self.clear):  # a read under way begins again
            m.d.sync += [at.eq(0), swept.eq(0), phase.eq(0), taking.eq(0)]
        with m.If(self.read):
            m.d.sync += [index.eq(self.index), wanted.eq(1)]
        return m
