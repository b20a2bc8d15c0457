"""The array with either kind of processing element, side by side."""

import random

import pytest
from amaranth.hdl import Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from hw.array.mac.pe_array import PEArray
from hw.config import PRESETS, Multiplier
from hw.precision import Precision


class Pair(wiring.Component):
    """Two arrays given the same; ``equal`` in a cycle in which they show the same."""

    def __init__(self, config):
        self.plain = PEArray(config)
        self.packed = PEArray(config.change(multiplier=Multiplier.DSP27X18))
        super().__init__({"equal": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.plain, m.submodules.packed = plain, packed = self.plain, self.packed
        m.d.comb += [getattr(packed, name).eq(getattr(plain, name)) for name in ("chunk", "a", "w")]
        outputs = ("word", "load", "row", "row_sum", "column_sums")
        differ = Signal(len(outputs))
        for bit, name in zip(differ, outputs, strict=True):
            one, other = getattr(plain, name), getattr(packed, name)
            m.d.comb += bit.eq(Value.cast(one) != Value.cast(other))
        m.d.comb += self.equal.eq(~differ.any())
        return m


@pytest.mark.parametrize("precision", [Precision.W4A8, Precision.W8A8])
def test_packed_elements_change_nothing(simulate, precision):
    config = PRESETS["tiny"].change(name="small", rows=3, precision=precision)
    four_bit = precision is Precision.W4A8
    unit = Pair(config)
    rng = random.Random(5)
    rows = []

    async def bench(ctx):
        left, w4 = 0, 0
        for cycle in range(400):
            valid = rng.random() < 0.8
            if valid and not left:
                left, w4, first = rng.randint(3, 9), rng.randint(0, int(four_bit)), 1
            ctx.set(unit.plain.chunk.valid, valid)
            if valid:
                left -= 1
                fields = {"half": rng.randint(0, 1), "w4": w4, "first": first, "last": not left}
                for name, value in fields.items():
                    ctx.set(getattr(unit.plain.chunk, name), value)
                first = 0
            ctx.set(unit.plain.a.as_value(), rng.getrandbits(len(unit.plain.a.as_value())))
            ctx.set(unit.plain.w.as_value(), rng.getrandbits(len(unit.plain.w.as_value())))
            if cycle > 12:  # registers without reset have seen a tile
                assert ctx.get(unit.equal), cycle
                rows.append(ctx.get(unit.plain.row.as_value()))
            await ctx.tick()

    simulate(unit, bench)
    assert len(set(rows)) > 100
