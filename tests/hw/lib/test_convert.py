"""Verilog that simulators and synthesis read alike."""

import pytest
from amaranth.hdl import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.lib.convert import to_verilog


class Pair(wiring.Component):
    """A constant beside what a condition decides, in one signal or driven from two."""

    def __init__(self, *, apart):
        self.apart = apart
        super().__init__({"c": In(1), "x": In(4), "o": Out(data.StructLayout({"a": 4, "b": 4}))})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.b.eq(5)
        a = self.x.like(self.x) if self.apart else self.o.a
        with m.If(self.c):
            m.d.comb += a.eq(self.x)
        if self.apart:
            m.d.comb += self.o.a.eq(a)
        return m


def test_a_constant_that_no_simulator_would_see_is_refused():
    with pytest.raises(ValueError, match=r"^pair: o\[7:4\] is a constant .* signal of its own$"):
        to_verilog(Pair(apart=False), "pair")
    assert "always @*" in to_verilog(Pair(apart=True), "pair")
