"""Ranges of the host's DRAM window to AXI bursts, shared by the LOAD and STORE units."""

from typing import Any

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.bus.axi import BURST_INCR, PAGE_BYTES, address_layout
from hw.bus.widths import ADDR_BITS
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
    i : ``offset`` of the range in the window (bytes; 2^32 and more are outside) and its length in
        ``beats``.
    o : ``address`` (an AXI address) and ``last`` on the range's final burst.
    idle : no range in work.
    outside, misaligned : the faults.
    """

    def __init__(self, config: Config, beats_bits: int = 16) -> None:
        self.config = config
        most = min(config.burst_beats, PAGE_BYTES // config.axi_bytes)
        #: Bits of AxLEN that a burst may set; the upper ones are zero.
        self.len_bits = max(1, (most - 1).bit_length())
        beats = data.StructLayout({"offset": LIMIT_BITS + 1, "beats": beats_bits})
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
        addr = Signal(ADDR_BITS, reset_less=True)
        left = Signal.like(self.i.p.beats, reset_less=True)
        # Registers of the burst on offer: beats up to the page's end, and its own.
        to_page = Signal(range(page_beats + 1), reset_less=True)
        count = Signal(range(min(self.config.burst_beats, page_beats) + 1), reset_less=True)
        burst = self.o.p.address

        def begin(beats: Value, room: Value) -> list[Any]:
            short = Mux(room < self.config.burst_beats, room, self.config.burst_beats)
            fits = (beats <= room) & (beats <= self.config.burst_beats)
            return [left.eq(beats), to_page.eq(room), count.eq(Mux(fits, beats, short))]

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.idle.eq(1), self.i.ready.eq(1)]
                m.d.sync += [addr.eq(self.i.p.offset), left.eq(self.i.p.beats)]
                with m.If(self.i.valid):
                    m.next = "CHECK"
            with m.State("CHECK"):
                end = addr[: LIMIT_BITS + 1] + Cat(C(0, size), left)
                ragged = (addr | self.base)[:size] if size else C(0, 1)
                start = Signal(ADDR_BITS)
                m.d.comb += start.eq(self.base + addr)
                m.d.sync += [
                    addr.eq(start),
                    *begin(left, (page_beats - start[size:12])[: len(to_page)]),
                ]
                m.next = "SPLIT"
                with m.If(end > self.limit):
                    m.next = "OUTSIDE"
                with m.Elif((ragged != 0) | (left == 0)):
                    m.next = "MISALIGNED"
            with m.State("SPLIT"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    rest, room = (left - count)[: len(left)], (to_page - count)[: len(to_page)]
                    m.d.sync += [
                        addr.eq(addr + (count << size)),
                        *begin(rest, Mux(to_page == count, page_beats, room)),
                    ]
                    with m.If(self.o.p.last):
                        m.next = "IDLE"
            with m.State("OUTSIDE"):
                m.d.comb += self.outside.eq(1)
            with m.State("MISALIGNED"):
                m.d.comb += self.misaligned.eq(1)

        m.d.comb += [
            self.o.p.last.eq(count == left),
            burst.addr.eq(Cat(C(0, size), addr[size:])),
            burst.len.eq((count - 1)[: self.len_bits]),
            burst.size.eq(size),
            burst.burst.eq(BURST_INCR),
        ]
        return m
