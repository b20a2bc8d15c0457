"""Sums of activations per row and of weights per column, which turn offset products signed."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from hw.array.mac.pe import CHUNK_FIELD_BITS, NIBBLE_BITS, X_BITS, tree_sum

ROW_UNIT = 8  # a RowSum counts in units of 8, a ColumnSum in units of 128 (see hw/array/mac/pe.py)
COLUMN_UNIT = 128


def row_sum_bits(lanes: int) -> int:
    """Bits of a `RowSum`: 16 * 128 in 8x8 mode per lane and chunk, signed."""
    return X_BITS + NIBBLE_BITS + ceil_log2(lanes) + CHUNK_FIELD_BITS


def column_sum_bits(lanes: int) -> int:
    """Bits of a `ColumnSum`: 255 per lane and chunk, unsigned."""
    return 2 * NIBBLE_BITS + ceil_log2(lanes) + CHUNK_FIELD_BITS


class RowSum(wiring.Component):
    """``ROW_UNIT * drain = 128 * sum x`` (8x8) or ``8 * sum (x_lo + x_hi)`` (8x4) of a row.

    In step with `PE`: operands in offset form in cycle n, ``valid``, ``first`` and ``w4`` in
    n + 1; ``load`` and ``below`` as there. A cycle that is not ``valid`` adds nothing.
    """

    def __init__(self, lanes: int, *, four_bit: bool) -> None:
        self.lanes, self.four_bit = lanes, four_bit
        bits = signed(row_sum_bits(lanes))
        operands = {"x_lo": In(X_BITS).array(lanes)}
        if four_bit:
            operands |= {"x_hi": In(X_BITS).array(lanes), "w4": In(1)}
        super().__init__(
            operands
            | {"valid": In(1), "first": In(1), "load": In(1), "below": In(bits)}
            | {"drain": Out(bits)}
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        if self.four_bit:  # in 8x8 mode both halves are the same
            both = self._sum(m, [*self.x_lo, *self.x_hi])
            term = Mux(self.w4, both, both << (NIBBLE_BITS - 1))
        else:
            term = self._sum(m, list(self.x_lo)) << NIBBLE_BITS
        acc = Signal.like(self.drain, reset_less=True)
        drain = Signal.like(self.drain, reset_less=True)
        m.d.sync += [
            acc.eq(Mux(self.first, 0, acc) + Mux(self.valid, term, 0)),
            drain.eq(Mux(self.load, acc, self.below)),
        ]
        m.d.comb += self.drain.eq(drain)
        return m

    def _sum(self, m: Module, xs: list[Value]) -> Value:
        """Registered sum of ``x = x' - 128``; the count is a power of two: one bit flips."""
        value = tree_sum(xs)
        total = Signal(value.shape(), name="total", reset_less=True)
        m.d.sync += total.eq(value)
        return Cat(total[:-1], ~total[-1]).as_signed()


class ColumnSum(wiring.Component):
    """``acc = sum u`` (8x8) or ``sum (lo' + hi')`` (8x4) of a column, in units of ``COLUMN_UNIT``.

    In step with `PE`; ``acc`` is complete where the PEs' is. Offset nibbles ``w_lo``, ``w_hi``.
    """

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(
            {
                "w_lo": In(NIBBLE_BITS).array(lanes),
                "w_hi": In(NIBBLE_BITS).array(lanes),
                "w4": In(1),
                "valid": In(1),
                "first": In(1),
                "acc": Out(column_sum_bits(lanes)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        lo, hi = tree_sum(self.w_lo), tree_sum(self.w_hi)
        low = Signal(lo.shape(), reset_less=True)
        high = Signal(hi.shape(), reset_less=True)
        acc = Signal.like(self.acc, reset_less=True)
        term = Mux(self.w4, high, high << NIBBLE_BITS) + low
        m.d.sync += [
            low.eq(lo),
            high.eq(hi),
            acc.eq(Mux(self.first, 0, acc) + Mux(self.valid, term, 0)),
        ]
        m.d.comb += self.acc.eq(acc)
        return m
