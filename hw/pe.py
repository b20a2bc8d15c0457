"""Processing element: a dot product of two 8x5 multiplier banks, an accumulator, a drain slot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

if TYPE_CHECKING:
    from golden.ops.psmac import PsMac

X_BITS = 8
LO_BITS, HI_BITS = 5, 4
CHUNK_FIELD_BITS = 10  # of MATMUL's `chunks`: the longest dot product is 2**10 - 1 chunks


def accumulator_bits(lanes: int) -> int:
    """Bits that hold every dot product an instruction can ask for.

    |x*w| <= 2**14 in 8x8 mode, two products of at most 2**10 in 8x4 mode, at most
    ``lanes * (2**10 - 1)`` of them: no accumulator ever wraps (28 bits for 8 lanes).
    """
    return 14 + ceil_log2(lanes) + CHUNK_FIELD_BITS + 1


def tree_sum(terms: Sequence[Value]) -> Value:
    """Sum of ``terms`` as a balanced tree."""
    level = list(terms)
    while len(level) > 1:
        pairs = [a + b for a, b in zip(level[::2], level[1::2], strict=False)]
        level = pairs + ([level[-1]] if len(level) % 2 else [])
    return level[0]


def weight_nibbles(w: Value, w4: Value) -> tuple[Value, Value]:
    """Low nibble (5 bits: signed in 8x4 mode, unsigned in 8x8) and signed high nibble of a byte."""
    return Cat(w[:4], w[3] & w4).as_signed(), w[4:8].as_signed()


class PE(wiring.Component):
    """Equals ``golden.ops.PsMac`` summed over chunks; one chunk of ``lanes`` weights a cycle.

    ``acc`` is ``sum(x*w)`` of the chunks since ``first``: operands in cycle n, ``first`` and
    ``w4`` in cycle n + 1, result in cycle n + 2. ``load`` copies ``acc`` to ``drain`` for the next
    cycle; in every other cycle ``drain`` takes ``below``, so a column of PEs is a shift register.

    Members: ``x_lo``, ``x_hi`` the activations that meet the low and the high nibbles ``w_lo``
    and ``w_hi`` (equal activations in 8x8 mode); ``w4`` 8x4 mode. Without ``four_bit`` there is
    one 8x8 multiplier a lane: ``x_lo`` and ``w`` remain.
    """

    def __init__(self, psmac: PsMac, *, four_bit: bool = True) -> None:
        self.psmac = psmac
        self.four_bit = four_bit
        lanes, acc = psmac.lanes, signed(psmac.acc_bits)
        operands: dict[str, Any] = {"x_lo": In(signed(X_BITS)).array(lanes)}
        if four_bit:
            operands |= {
                "x_hi": In(signed(X_BITS)).array(lanes),
                "w_lo": In(signed(LO_BITS)).array(lanes),
                "w_hi": In(signed(HI_BITS)).array(lanes),
                "w4": In(1),
            }
        else:
            operands |= {"w": In(signed(8)).array(lanes)}
        super().__init__(
            operands
            | {"first": In(1), "load": In(1), "below": In(acc), "acc": Out(acc), "drain": Out(acc)}
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        total = self._nibble_sums(m) if self.four_bit else self._byte_sum(m)
        acc = Signal.like(self.acc, reset_less=True)
        drain = Signal.like(self.drain, reset_less=True)
        m.d.sync += [
            acc.eq(Mux(self.first, 0, acc) + total),
            drain.eq(Mux(self.load, acc, self.below)),
        ]
        m.d.comb += [self.acc.eq(acc), self.drain.eq(drain)]
        return m

    def _bank(self, m: Module, name: str, xs: Sequence[Value], ws: Sequence[Value]) -> Signal:
        """One registered sum of products."""
        value = tree_sum([x * w for x, w in zip(xs, ws, strict=True)])
        total = Signal(value.shape(), name=name, reset_less=True)
        m.d.sync += total.eq(value)
        return total

    def _nibble_sums(self, m: Module) -> Value:
        lo = self._bank(m, "lo", self.x_lo, self.w_lo)
        hi = self._bank(m, "hi", self.x_hi, self.w_hi)
        scaled = Signal(signed(len(hi) + 4))
        m.d.comb += scaled.eq(Mux(self.w4, hi, hi << 4))
        return scaled + lo

    def _byte_sum(self, m: Module) -> Value:
        return self._bank(m, "products", self.x_lo, self.w)
