"""Ranges of the host's DRAM window to AXI bursts, shared by the LOAD and STORE units."""

from typing import Any

from amaranth.hdl import C, Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.axi import ADDR_BITS, BURST_INCR, PAGE_BYTES, address_layout
from hw.config import Config

LIMIT_BITS = 32


class BurstSplitter(wiring.Component):
    """Splits ranges of beats into INCR bursts of at most ``burst_beats`` within 4 KB pages.

    ``beats_bits`` is the width of a range's length. One burst per cycle, the first two cycles
    after its range. A range outside the window, or not aligned to the bus, or empty, raises its
    fault until reset and gives no burst at all.

    Members
    -------
    base, limit : first byte and size in bytes of the window.
    i : ``offset`` of the range in the window (bytes) and its length in ``beats``.
    o : ``address`` (an AXI address) and ``last`` on the range's final burst.
    idle : no range in work.
    outside, misaligned : the faults.
    """

    def __init__(self, config: Config, beats_bits: int = 16) -> None:
        self.config = config
        beats = data.StructLayout({"offset": 32, "beats": beats_bits})
        burst = data.StructLayout({"address": address_layout(), "last": 1})
        super().__init__(
            {
                "base": In(ADDR_BITS),
                "limit": In(LIMIT_BITS),
                "i": In(stream.Signature(beats)),
                "o": Out(stream.Signature(burst)),
                "idle": Out(1),
                "outside": Out(1),
                "misaligned": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        size = (self.config.axi_bytes - 1).bit_length()
        page_beats = PAGE_BYTES >> size
        addr, left = Signal(ADDR_BITS), Signal.like(self.i.p.beats)
        to_page = Signal(range(page_beats + 1))
        count = Signal(range(min(self.config.burst_beats, page_beats) + 1))
        burst = self.o.p.address
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.idle.eq(1), self.i.ready.eq(1)]
                m.d.sync += [addr.eq(self.i.p.offset), left.eq(self.i.p.beats)]
                with m.If(self.i.valid):
                    m.next = "CHECK"
            with m.State("CHECK"):
                end = addr[:32] + Cat(C(0, size), left)
                ragged = (addr | self.base)[:size] if size else C(0, 1)
                m.d.sync += addr.eq(self.base + addr)
                m.next = "SPLIT"
                with m.If(end > self.limit):
                    m.next = "OUTSIDE"
                with m.Elif((ragged != 0) | (left == 0)):
                    m.next = "MISALIGNED"
            with m.State("SPLIT"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += [addr.eq(addr + (count << size)), left.eq(left - count)]
                    with m.If(self.o.p.last):
                        m.next = "IDLE"
            with m.State("OUTSIDE"):
                m.d.comb += self.outside.eq(1)
            with m.State("MISALIGNED"):
                m.d.comb += self.misaligned.eq(1)

        m.d.comb += [
            to_page.eq(page_beats - addr[size:12]),
            count.eq(self.config.burst_beats),
            self.o.p.last.eq(count == left),
            burst.addr.eq(addr),
            burst.len.eq(count - 1),
            burst.size.eq(size),
            burst.burst.eq(BURST_INCR),
        ]
        with m.If(to_page < self.config.burst_beats):
            m.d.comb += count.eq(to_page)
        with m.If((left <= to_page) & (left <= self.config.burst_beats)):
            m.d.comb += count.eq(left)
        return m
