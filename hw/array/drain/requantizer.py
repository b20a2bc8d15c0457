"""PoT requantizer: a barrel shifter with rounding and saturation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amaranth.hdl import Array, Cat, Const, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.lib.rounding import round_shift

if TYPE_CHECKING:
    from golden.ops.requantize import Requantize


class Requantizer(wiring.Component):
    """``y = sat(rshr(acc, shift))``, combinational; equals ``golden.ops.Requantize``.

    One arithmetic right shift serves both directions: ``acc`` enters ``out_bits`` (a power of two)
    places up, and a left shift by more than that saturates exactly like one by that many.

    Members: ``acc`` (``acc_bits``, signed), ``shift`` (``shift_bits``, signed), ``y``.
    """

    def __init__(self, params: Requantize) -> None:
        self.params = params
        super().__init__(
            {
                "acc": In(signed(params.acc_bits)),
                "shift": In(signed(params.shift_bits)),
                "y": Out(signed(params.out_bits)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        bits = self.params.out_bits
        # One fraction bit: the rounding bit.
        lifted = Cat(Const(0, bits + 1), self.acc).as_signed()
        # `shift + bits`, or 0 below 0. The low bits stay, so a table of the high ones replaces
        # a carry at the start of a long path.
        low, high = self.shift[: exact_log2(bits)], self.shift[exact_log2(bits) :]
        half = 1 << (len(high) - 1)
        above = Array(Const(i + 1 if i < half else 0, range(half + 1)) for i in range(2 * half))
        negative = high[-1] & ~high.all()
        places = Signal(len(low) + half.bit_length())
        m.d.comb += places.eq(Cat(low & ~negative.replicate(len(low)), above[high]))
        m.d.comb += self.y.eq(round_shift(m, lifted, places, bits, "y"))
        return m
