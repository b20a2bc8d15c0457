"""Sums of activations per row and of weights per column, which turn offset products signed."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from golden.ops.psmac import MacMode
from hw.array.mac.pe import (
    CHUNK_FIELD_BITS,
    X_BITS,
    by_nibbles,
    tree_sum,
    weight_names,
)
from hw.precision import NIBBLE_BITS, Precision

ROW_UNIT = 8  # a RowSum counts in units of 8 (see hw/array/mac/pe.py)


def column_unit(precision: Precision) -> int:
    """What a `ColumnSum` counts in: 128, or 8 where weights meet activations of 4 bits."""
    return 8 if precision.has(MacMode.W4A4) else 128


def row_sum_bits(lanes: int) -> int:
    """Bits of a `RowSum`: 16 * 128 in 8x8 mode per lane and chunk, signed."""
    return X_BITS + NIBBLE_BITS + ceil_log2(lanes) + CHUNK_FIELD_BITS


def column_sum_bits(lanes: int, precision: Precision) -> int:
    """Bits of a `ColumnSum`: 255 units of 128 per lane and chunk, unsigned."""
    units = 128 // column_unit(precision)
    return 2 * NIBBLE_BITS + ceil_log2(units) + ceil_log2(lanes) + CHUNK_FIELD_BITS


class RowSum(wiring.Component):
    """``ROW_UNIT * drain = 128 * sum x`` (8x8) or ``8 * sum x`` (8x4, 4x4) of a row.

    In step with `PE`: operands in offset form and ``x4`` in cycle n, ``valid``, ``first`` and
    ``w4`` in n + 1; ``load`` and ``below`` as there. A cycle that is not ``valid`` adds nothing.
    """

    def __init__(self, lanes: int, precision: Precision) -> None:
        self.lanes, self.precision = lanes, precision
        bits = signed(row_sum_bits(lanes))
        operands = {"x_lo": In(X_BITS).array(lanes)}
        if precision.has(MacMode.W4):
            operands |= {"x_hi": In(X_BITS).array(lanes), "w4": In(1)}
        if precision.has(MacMode.W4A4):
            operands |= {"x4": In(1)}
        super().__init__(
            operands
            | {"valid": In(1), "first": In(1), "load": In(1), "below": In(bits)}
            | {"drain": Out(bits)}
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        if self.precision.has(MacMode.W4):  # in 8x8 mode both halves are the same
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
        """Registered sum of ``x = x' - 128``; the count is a power of two: one bit flips.

        So it is with as many times two nibbles and ``y = y' - 8``, at a bit further down.
        """
        if not self.precision.has(MacMode.W4A4):
            return _centred(_registered(m, tree_sum(xs), "total"), X_BITS, len(xs))
        lower = tree_sum([x[:NIBBLE_BITS] for x in xs])
        upper = tree_sum([x[NIBBLE_BITS:] for x in xs])
        total = _registered(m, by_nibbles(lower, upper, self.x4), "total")
        apart = Signal()
        m.d.sync += apart.eq(self.x4)
        nibbles = _centred(total, NIBBLE_BITS, 2 * len(xs))
        return Mux(apart, nibbles, _centred(total, X_BITS, len(xs)))


def _registered(m: Module, value: Value, name: str) -> Signal:
    total = Signal(value.shape(), name=name, reset_less=True)
    m.d.sync += total.eq(value)
    return total


def _centred(total: Value, bits: int, count: int) -> Value:
    """``total - count * 2**(bits - 1)``, signed, of ``count`` numbers of ``bits`` bits."""
    top = bits - 1 + ceil_log2(count)
    return Cat(total[:top], ~total[top]).as_signed()


class ColumnSum(wiring.Component):
    """``acc = sum u`` (8x8) or ``sum (lo' + hi')`` (8x4) of a column, in units of 128.

    In step with `PE`; ``acc`` is complete where the PEs' is. Offset nibbles ``w_lo``, ``w_hi``.
    Where there are 4x4 products ``acc`` counts in units of 8, and with ``x4``, in the cycle of
    ``w4``, the nibbles ``v_lo`` and ``v_hi`` count too.
    """

    def __init__(self, lanes: int, precision: Precision = Precision.W4A8) -> None:
        self.lanes, self.precision = lanes, precision
        narrow = {"x4": In(1)} if precision.has(MacMode.W4A4) else {}
        names = dict.fromkeys((*weight_names(precision), "w_lo", "w_hi"))
        super().__init__(
            {name: In(NIBBLE_BITS).array(lanes) for name in names}
            | narrow
            | {
                "w4": In(1),
                "valid": In(1),
                "first": In(1),
                "acc": Out(column_sum_bits(lanes, precision)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        low = _registered(m, tree_sum(self.w_lo), "low")
        high = _registered(m, tree_sum(self.w_hi), "high")
        acc = Signal.like(self.acc, reset_less=True)
        term: Value = Mux(self.w4, high, high << NIBBLE_BITS) + low
        if self.precision.has(MacMode.W4A4):
            more = _registered(m, tree_sum([*self.v_lo, *self.v_hi]), "more")
            term = Mux(self.x4, term + more, term << NIBBLE_BITS)
        m.d.sync += acc.eq(Mux(self.first, 0, acc) + Mux(self.valid, term, 0))
        m.d.comb += self.acc.eq(acc)
        return m
