"""Denominator of one row: sum of the exponentials, normalised for comparisons."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.ops.softmax import E_BITS

SUM_BITS = 24  # 256 keys of at most 65535


class RowSum(wiring.Component):
    """Adds one exponential per cycle; two cycles from ``valid`` to ``total``.

    The largest key of a row has ``E >= 2**15``, so a complete sum lies in 2**15..2**24 and
    nine leading-one positions are enough: ``total = normal >> (23 - exponent)``.

    Members
    -------
    valid : In(1), add ``mantissa >> shift``.
    clear : In(1), forget the sum (an addition that arrives in the same cycle counts).
    total : Out(24).
    normal, exponent : Out(24), Out(5), total shifted up to bit 23 and its leading-one position.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "valid": In(1),
                "mantissa": In(E_BITS),
                "shift": In(range(E_BITS + 1)),
                "clear": In(1),
                "total": Out(SUM_BITS),
                "normal": Out(SUM_BITS),
                "exponent": Out(5),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        e = Signal(E_BITS)
        m.d.sync += [
            e.eq(Mux(self.valid, self.mantissa >> self.shift, 0)),
            self.total.eq(Mux(self.clear, 0, self.total) + e),
        ]
        x: Any = self.total
        up: Any = Const(0, 0)
        for width in (8, 4, 2, 1):
            low = Signal(name=f"low{width}")
            shifted = Signal(SUM_BITS, name=f"shifted{width}")
            m.d.comb += [
                low.eq(~x[SUM_BITS - width :].any()),
                shifted.eq(Mux(low, x << width, x)),
            ]
            x, up = shifted, Cat(low, up)
        m.d.comb += [self.normal.eq(x), self.exponent.eq(SUM_BITS - 1 - up)]
        return m
