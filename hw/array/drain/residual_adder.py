"""Residual adder: aligns accumulator and old residual, adds, rounds once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.ops.requantize import Requantize
from hw.array.drain.requantizer import Requantizer

if TYPE_CHECKING:
    from golden.ops.residual import ResidualAdd


class ResidualAdder(wiring.Component):
    """``y = sat8(rshr((acc << la) + (old << lo), shift))``; equals ``golden.ops.ResidualAdd``.

    One result a cycle: ``acc``, ``old``, ``la``, ``lo`` in cycle n, the aligned ``sum`` and its
    ``shift`` in cycle n + 1, ``y`` in cycle n + 2. With ``la`` and ``old`` zero it is the plain
    requantizer, so every output channel has one of these and nothing else.
    """

    def __init__(self, params: ResidualAdd) -> None:
        self.params = params
        super().__init__(
            {
                "acc": In(signed(params.sum_bits)),
                "old": In(signed(params.old_bits)),
                "la": In(params.align_bits),
                "lo": In(params.align_bits),
                "shift": In(signed(params.shift_bits)),
                "sum": Out(signed(params.sum_bits)),
                "y": Out(signed(8)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        params = self.params
        total = Signal(signed(params.sum_bits), reset_less=True)
        y = Signal(signed(8), reset_less=True)
        m.submodules.round = rounder = Requantizer(
            Requantize(acc_bits=params.sum_bits, shift_bits=params.shift_bits)
        )
        aligned = Signal(signed(params.sum_bits))
        old = Signal(signed(params.sum_bits))
        m.d.comb += [
            aligned.eq(self.acc << self.la),
            old.eq(self.old << self.lo),
            rounder.acc.eq(total),
            rounder.shift.eq(self.shift),
            self.sum.eq(total),
            self.y.eq(y),
        ]
        m.d.sync += [total.eq(aligned + old), y.eq(rounder.y)]
        return m
