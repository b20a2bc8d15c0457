"""PoT requantizer: a barrel shifter with rounding and saturation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.rounding import round_shift

if TYPE_CHECKING:
    from golden.ops.requantize import Requantize


class Requantizer(wiring.Component):
    """``y = sat(rshr(acc, shift))``, combinational; equals ``golden.ops.Requantize``.

    One arithmetic right shift serves both directions: ``acc`` enters ``out_bits`` places up, and a
    left shift by more than ``out_bits - 1`` saturates exactly like one by ``out_bits - 1``.

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
        bits, most = self.params.out_bits, self.params.out_bits - 1
        lifted = Cat(Const(0, bits), self.acc).as_signed()
        places = Signal(range((1 << (self.params.shift_bits - 1)) + most))
        m.d.comb += places.eq(Mux(self.shift < -most, 0, self.shift + most))

        # One fraction bit: the rounding bit.
        m.d.comb += self.y.eq(round_shift(m, lifted, places, bits, "y"))
        return m
