"""Performance counters: short counters next to their events, swept into one memory of totals."""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In
from amaranth.utils import ceil_log2

from hw.host.ports import TOTAL_BITS, CountPort
from hw.lib.memory import Memory


class Counters(wiring.Component):
    """One 64-bit total per event; ``widths`` maps its name to the bits of its increment.

    A register and an adder of 64 bits per event would cost more than a LayerNorm unit, so every
    event counts in a short register that a sweep adds to the event's word of a memory and zeroes,
    in the order of ``names``, every ``4 * len(names)`` cycles. A total read is the word plus
    the short register, both as they were two cycles before ``count_valid``. Choosing a short
    register and adding it are cycles of their own: together they would be the design's longest
    path.

    Members
    -------
    clear : all totals to zero (``inc`` of the same cycle is not counted).
    inc : increments of this cycle, a field per name.
    `CountPort` : a total is there 3 to 6 cycles after it was asked for.
    """

    def __init__(self, widths: Mapping[str, int]) -> None:
        self.names = tuple(widths)
        self.widths = tuple(widths.values())
        super().__init__(
            {
                "clear": In(1),
                "inc": In(data.StructLayout(dict(widths))),
                **CountPort(range(len(self.names))).flip().members,
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
            for i, (name, width) in enumerate(zip(self.names, self.widths, strict=True)):
                # 4 * count increments between two sweeps fit.
                part = Signal(width + ceil_log2(4 * count), name=f"short_{name}")
                base = Signal(part.shape())
                m.d.comb += base.eq(Mux((phase == 0) & (at == i), 0, part))
                m.d.sync += part.eq(Mux(self.clear, 0, base + self.inc[name]))
                with m.Case(i):
                    m.d.sync += short.eq(part)

        total = Signal(TOTAL_BITS, reset_less=True)
        m.d.sync += [
            written.eq(swept | (chosen < at)),
            total.eq(Mux(written, mem.rd_data, 0) + short),
        ]
        m.d.comb += [
            self.count_total.eq(total),
            self.count_valid.eq(taking & (phase == 1)),
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
        with m.If(self.count_valid):
            m.d.sync += [wanted.eq(0), taking.eq(0)]
        with m.If(self.clear):  # a read under way begins again
            m.d.sync += [at.eq(0), swept.eq(0), phase.eq(0), taking.eq(0)]
        with m.If(self.count_read):
            m.d.sync += [index.eq(self.count_index), wanted.eq(1)]
        return m
