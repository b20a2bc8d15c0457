"""Processing element: a dot product of two unsigned 8x4 multiplier banks, an accumulator.

Signed operands enter in offset form, sign bits inverted, so that no product needs sign
extension: ``x' = x + 128``, nibbles ``n' = n + 8`` (the low nibble of a byte is unsigned as it is).
With ``u = 16*hi' + lo' = w + 128``::

    8x8:  x*w = x'*u  - 128*x - 128*u
    8x4:  x*n = x'*n' -   8*x - 128*n'

The sums of ``x`` are those of a row of PEs and the sums of ``u`` or ``n'`` those of a column:
`RowSum` and `ColumnSum` gather them once for all, and the drain subtracts them. Measured with the
cells of the area report, a PE of 8 lanes takes 4.5 kGE instead of 6.2 with signed 8x5 multipliers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

if TYPE_CHECKING:
    from golden.ops.psmac import PsMac

X_BITS, NIBBLE_BITS = 8, 4
CHUNK_FIELD_BITS = 10  # of MATMUL's `chunks`: the longest dot product is 2**10 - 1 chunks


def accumulator_bits(lanes: int) -> int:
    """Bits that hold every sum of offset products an instruction can ask for, unsigned.

    A lane adds at most 255*255 in 8x8 mode, 2*255*15 in 8x4 mode, over at most 2**10 - 1 chunks:
    no accumulator ever wraps (29 bits for 8 lanes). The dot product itself is smaller.
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
    """Low and high nibble of a weight byte in offset form (the low one only in 8x4 mode)."""
    return Cat(w[:3], w[3] ^ w4), Cat(w[4:7], ~w[7])


def shared_members(lanes: int, *, four_bit: bool) -> dict[str, Any]:
    """Members that all output channels of a provider of `PE` share: activations and control."""
    members: dict[str, Any] = {"x_lo": In(X_BITS).array(lanes), "first": In(1), "load": In(1)}
    if four_bit:
        members |= {"x_hi": In(X_BITS).array(lanes), "w4": In(1)}
    return members


def channel_members(lanes: int, *, four_bit: bool) -> dict[str, Any]:
    """Members of one output channel: its weights, its sum, its place in the drain's column."""
    bits = accumulator_bits(lanes)
    members: dict[str, Any] = {"below": In(bits), "acc": Out(bits), "drain": Out(bits)}
    if four_bit:
        return members | {name: In(NIBBLE_BITS).array(lanes) for name in ("w_lo", "w_hi")}
    return members | {"w": In(2 * NIBBLE_BITS).array(lanes)}


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
    activations in 8x8 mode), all in offset form; ``w4`` 8x4 mode. Without ``four_bit`` there is
    one 8x8 multiplier a lane: ``x_lo`` and ``w`` remain.

    The array knows a PE by ``CHANNELS``, how many output channels it computes, and ``channels``,
    where each has its `channel_members`: here one, on the component itself
    (`hw.array.mac.packed_pe.PackedPE` has two).
    """

    CHANNELS = 1

    def __init__(self, psmac: PsMac, *, four_bit: bool = True) -> None:
        self.psmac = psmac
        self.four_bit = four_bit
        lanes = psmac.lanes
        super().__init__(
            shared_members(lanes, four_bit=four_bit) | channel_members(lanes, four_bit=four_bit)
        )

    @property
    def channels(self) -> Sequence[Any]:
        """Where the members of each output channel are."""
        return (self,)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        if self.four_bit:
            lo = self._bank(m, "lo", self.x_lo, self.w_lo)
            hi = self._bank(m, "hi", self.x_hi, self.w_hi)
            total = Mux(self.w4, hi, hi << NIBBLE_BITS) + lo
        else:
            total = self._bank(m, "products", self.x_lo, self.w)
        accumulate(m, self, self, total)
        return m

    def _bank(self, m: Module, name: str, xs: Sequence[Value], ws: Sequence[Value]) -> Signal:
        """One registered sum of products."""
        value = tree_sum([x * w for x, w in zip(xs, ws, strict=True)])
        total = Signal(value.shape(), name=name, reset_less=True)
        m.d.sync += total.eq(value)
        return total
