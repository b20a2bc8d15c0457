"""Saturation of bytes to 4 bits, every byte."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.ops.rounding import saturate
from hw.lib.rounding import saturate_nibble


class Saturated(wiring.Component):
    """The expression as a component."""

    def __init__(self):
        super().__init__({"x": In(signed(8)), "narrow": In(1), "y": Out(signed(8))})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.y.eq(saturate_nibble(self.x, self.narrow))
        m.d.sync += Signal().eq(1)
        return m


def test_every_byte(simulate):
    dut = Saturated()

    async def bench(ctx):
        for narrow in (0, 1):
            ctx.set(dut.narrow, narrow)
            for x in range(-128, 128):
                ctx.set(dut.x, x)
                assert ctx.get(dut.y) == (saturate(x, 4) if narrow else x)

    simulate(dut, bench)
