"""Denominator of one row: sum of the exponentials, normalised for comparisons."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from golden.ops.softmax import E_BITS


def sum_bits(keys: int) -> int:
    """Bits of a sum of ``keys`` exponentials of at most 65535: 24 for 256 keys."""
    return E_BITS + max(1, ceil_log2(keys))


class RowSum(wiring.Component):
    """Adds one exponential per cycle, ``keys`` at most; `ROW_SUM` cycles from ``valid`` on.

    The largest key of a row has ``E >= 2**15``, so a complete sum lies in 2**15..2**B, B =
    ``sum_bits(keys)``, and few leading-one positions are enough (nine for 256 keys): ``total =
    normal >> (B - 1 - exponent)``.

    Members
    -------
    valid : In(1), add ``mantissa >> shift``.
    clear : In(1), forget the sum (an addition that arrives in the same cycle counts).
    total : Out(B).
    normal, exponent : Out(B), Out(5), total shifted up to bit B - 1 and its leading-one position.
    """

    def __init__(self, keys: int) -> None:
        self.bits = bits = sum_bits(keys)
        super().__init__(
            {
                "valid": In(1),
                "mantissa": In(E_BITS),
                "shift": In(range(E_BITS + 1)),
                "clear": In(1),
                "total": Out(bits),
                "normal": Out(bits),
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
        for step in reversed(range((self.bits - E_BITS).bit_length())):
            width = 1 << step
            low = Signal(name=f"low{width}")
            shifted = Signal(self.bits, name=f"shifted{width}")
            m.d.comb += [
                low.eq(~x[self.bits - width :].any()),
                shifted.eq(Mux(low, x << width, x)),
            ]
            x, up = shifted, Cat(low, up)
        m.d.comb += [self.normal.eq(x), self.exponent.eq(self.bits - 1 - up)]
        return m
