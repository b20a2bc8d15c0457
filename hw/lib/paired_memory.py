"""A memory that answers with a word and with the one behind it: even and odd words apart."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.lib.memory import Memory


class PairedMemory(wiring.Component):
    """A `Memory` with its members and its contract, and two more.

    ``rd_pair``, beside ``rd_en``: read the word behind too, which ``next_data`` shows then; without
    it ``next_data`` means nothing.
    """

    def __init__(self, width: int, depth: int) -> None:
        self.width, self.depth = width, depth
        self.addr_bits = max(1, (depth - 1).bit_length())
        super().__init__(
            {
                "rd_en": In(1),
                "rd_pair": In(1),
                "rd_addr": In(self.addr_bits),
                "rd_data": Out(width),
                "next_data": Out(width),
                "wr_en": In(1),
                "wr_addr": In(self.addr_bits),
                "wr_data": In(width),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        mems = []
        for low, name in enumerate(("even", "odd")):
            m.submodules[name] = mem = Memory(self.width, -(-self.depth // 2))
            mems.append(mem)
            m.d.comb += [
                mem.rd_en.eq(self.rd_en & ((self.rd_addr[0] == low) | self.rd_pair)),
                mem.rd_addr.eq((self.rd_addr + (1 - low)) >> 1),
                mem.wr_en.eq(self.wr_en & (self.wr_addr[0] == low)),
                mem.wr_addr.eq(self.wr_addr >> 1),
                mem.wr_data.eq(self.wr_data),
            ]
        even, odd = mems
        from_odd = Signal()
        with m.If(self.rd_en):
            m.d.sync += from_odd.eq(self.rd_addr[0])
        m.d.comb += [
            self.rd_data.eq(Mux(from_odd, odd.rd_data, even.rd_data)),
            self.next_data.eq(Mux(from_odd, even.rd_data, odd.rd_data)),
        ]
        return m
