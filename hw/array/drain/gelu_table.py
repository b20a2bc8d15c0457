"""GELU table: one 256-byte memory per output channel, all with the same contents."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.lib.memory import Memory
from hw.lib.ports import WritePort

ENTRIES = 256


class GeluTable(wiring.Component):
    """``y[c] = table[x[c] + 128]``, one cycle later; equals ``golden.ops.Gelu.compute``.

    Members: ``load`` writes entry ``index`` (for input ``index - 128``) of every copy; ``en``
    starts a look-up of ``x``; ``y`` holds until the next one.
    """

    def __init__(self, *, columns: int = 1) -> None:
        self.columns = columns
        vector = data.ArrayLayout(signed(8), columns)
        super().__init__(
            {
                "load": In(WritePort(data.StructLayout({"index": 8, "byte": 8}))),
                "en": In(1),
                "x": In(vector),
                "y": Out(vector),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        for c in range(self.columns):
            m.submodules[f"table_{c}"] = table = Memory(8, ENTRIES)
            x = self.x[c]
            m.d.comb += [
                table.wr_en.eq(self.load.en),
                table.wr_addr.eq(self.load.payload.index),
                table.wr_data.eq(self.load.payload.byte),
                table.rd_en.eq(self.en),
                table.rd_addr.eq(Cat(x[:-1], ~x[-1])),
                self.y[c].eq(table.rd_data),
            ]
        return m
