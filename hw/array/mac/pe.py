"""Processing element: a dot product of two banks of unsigned multipliers, an accumulator.

Signed operands enter in offset form, sign bits inverted, so that no product needs sign
extension: ``x' = x + 128``, nibbles ``n' = n + 8`` (the low nibble of a byte is unsigned as it is).
With ``u = 16*hi' + lo' = w + 128``::

    8x8:  x*w = x'*u  - 128*x - 128*u
    8x4:  x*n = x'*n' -   8*x - 128*n'
    4x4:  y*n = y'*n' -   8*y -   8*n'         y' = y + 8

A multiplier of 8x4 bits is two of 4x4 bits, the product of the activation byte's upper nibble
shifted by four; where they make products of their own, that nibble meets a weight of its own, and
nothing is shifted.

The sums of ``x`` are those of a row of PEs and the sums of ``u`` or ``n'`` those of a column:
`RowSum` and `ColumnSum` gather them once for all, and the drain subtracts them. Measured with the
cells of the area report, a PE of 8 lanes takes 4.5 kGE instead of 6.2 with signed 8x5 multipliers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from golden.ops.psmac import MacMode, PsMac
from hw.precision import NIBBLE_BITS, Precision

X_BITS = 8
CHUNK_FIELD_BITS = 10  # of MATMUL's `chunks`: the longest dot product is 2**10 - 1 chunks


def accumulator_bits(lanes: int) -> int:
    """Bits that hold every sum of offset products an instruction can ask for, unsigned.

    A lane adds at most 255*255 in 8x8 mode, 2*255*15 in 8x4 mode, 4*15*15 in 4x4 mode, over at most
    2**10 - 1 chunks: no accumulator ever wraps (29 bits for 8 lanes). The dot product itself is
    smaller.
    """
    return 2 * X_BITS + ceil_log2(lanes) + CHUNK_FIELD_BITS


def tree_sum(terms: Sequence[Value]) -> Value:
    """Sum of ``terms`` as a balanced tree."""
    level = list(terms)
    while len(level) > 1:
        pairs = [a + b for a, b in zip(level[::2], level[1::2], strict=False)]
        level = pairs + ([level[-1]] if len(level) % 2 else [])
    return level[0]


def offset_byte(x: Value) -> Value:
    """``x + 128`` of a signed byte."""
    return Cat(x[:-1], ~x[-1])


def offset_nibbles(w: Value, w4: Value | int) -> tuple[Value, Value]:
    """Low and high nibble of a byte in offset form (the low one only with ``w4``)."""
    return Cat(w[:3], w[3] ^ w4), Cat(w[4:7], ~w[7])


def shared_members(lanes: int, precision: Precision) -> dict[str, Any]:
    """Members that all output channels of a provider of `PE` share: activations and control."""
    members: dict[str, Any] = {"x_lo": In(X_BITS).array(lanes), "first": In(1), "load": In(1)}
    if precision.has(MacMode.W4):
        members |= {"x_hi": In(X_BITS).array(lanes), "w4": In(1)}
    if precision.has(MacMode.W4A4):
        members |= {"x4": In(1)}
    return members


def weight_names(precision: Precision) -> tuple[str, ...]:
    """The members with a nibble of weights a lane; none if a lane takes whole bytes."""
    names = ("w_lo", "w_hi") if precision.has(MacMode.W4) else ()
    return (*names, "v_lo", "v_hi") if precision.has(MacMode.W4A4) else names


def channel_members(lanes: int, precision: Precision) -> dict[str, Any]:
    """Members of one output channel: its weights, its sum, its place in the drain's column."""
    bits = accumulator_bits(lanes)
    members: dict[str, Any] = {"below": In(bits), "acc": Out(bits), "drain": Out(bits)}
    if names := weight_names(precision):
        return members | {name: In(NIBBLE_BITS).array(lanes) for name in names}
    return members | {"w": In(2 * NIBBLE_BITS).array(lanes)}


def by_nibbles(lower: Value, upper: Value, apart: Value) -> Value:
    """Sum of what low and upper nibbles add up to, ``apart`` or as parts of bytes."""
    return lower + Mux(apart, upper, upper << NIBBLE_BITS)


def _dot(xs: Sequence[Value], ws: Sequence[Value]) -> Value:
    return tree_sum([x * w for x, w in zip(xs, ws, strict=True)])


def accumulate(m: Module, pe: Any, channel: Any, total: Value, suffix: str = "") -> None:
    """Add ``total`` to the ``acc`` of ``channel``, and move its drain, as ``pe`` is told."""
    acc = Signal.like(channel.acc, name=f"acc{suffix}_register", reset_less=True)
    drain = Signal.like(channel.drain, name=f"drain{suffix}_register", reset_less=True)
    m.d.sync += [
        acc.eq(Mux(pe.first, 0, acc) + total),
        drain.eq(Mux(pe.load, acc, channel.below)),
    ]
    m.d.comb += [channel.acc.eq(acc), channel.drain.eq(drain)]


class PE(wiring.Component):
    """Equals ``golden.ops.PsMac`` summed over chunks, but for the sums of rows and columns.

    One chunk of ``lanes`` weight bytes a cycle. ``acc`` is the sum of offset products of the
    chunks since ``first``: operands in cycle n, ``first`` and ``w4`` in cycle n + 1, result in
    cycle n + 2. ``load`` copies ``acc`` to ``drain`` for the next cycle; in every other cycle
    ``drain`` takes ``below``, so a column of PEs is a shift register.

    Members: ``x_lo``, ``x_hi`` the activations that meet the nibbles ``w_lo`` and ``w_hi`` (equal
    activations in 8x8 mode), all in offset form; ``w4`` weights of 4 bits. Where ``precision`` has
    4x4 products, the upper nibbles of the activations meet ``v_lo`` and ``v_hi``, which equal
    ``w_lo`` and ``w_hi`` in the other modes, and ``x4``, in cycle n, says that they are activations
    of their own (with ``w4``). With 8x8 products alone there is one multiplier a lane: ``x_lo`` and
    ``w`` remain.

    The array knows a PE by ``CHANNELS``, how many output channels it computes, and ``channels``,
    where each has its `channel_members`: here one, on the component itself
    (`hw.array.mac.packed_pe.PackedPE` has two).
    """

    CHANNELS = 1

    def __init__(self, psmac: PsMac, precision: Precision = Precision.W4A8) -> None:
        self.psmac = psmac
        self.precision = precision
        lanes = psmac.lanes
        super().__init__(shared_members(lanes, precision) | channel_members(lanes, precision))

    @property
    def channels(self) -> Sequence[Any]:
        """Where the members of each output channel are."""
        return (self,)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        if self.precision.has(MacMode.W4):
            lo = self._bank(m, "lo", self.x_lo, "w_lo", "v_lo")
            hi = self._bank(m, "hi", self.x_hi, "w_hi", "v_hi")
            total = Mux(self.w4, hi, hi << NIBBLE_BITS) + lo
        else:
            total = self._bank(m, "products", self.x_lo, "w")
        accumulate(m, self, self, total)
        return m

    def _bank(
        self, m: Module, name: str, xs: Sequence[Value], weights: str, uppers: str = ""
    ) -> Signal:
        """One registered sum of products."""
        ws = getattr(self, weights)
        if self.precision.has(MacMode.W4A4):
            upper = _dot([x[NIBBLE_BITS:] for x in xs], getattr(self, uppers))
            lower = _dot([x[:NIBBLE_BITS] for x in xs], ws)
            value = by_nibbles(lower, upper, self.x4)
        else:
            value = _dot(xs, ws)
        total = Signal(value.shape(), name=name, reset_less=True)
        m.d.sync += total.eq(value)
        return total
