"""Two processing elements on shared multipliers of 27x18 bits, as FPGAs have them.

Two output channels meet the same activation, so one multiplier serves both: with weights ``w0`` and
``w1`` in offset form (unsigned, as in `hw.array.mac.pe`)::

    (w1 * 2**18 + w0) * x = (w1 * x) * 2**18 + w0 * x

A product of 8x8 bits leaves two guard bits below the next, one of 8x4 bits six: four or 64 lanes
are summed before the sum is split, in the adders that FPGAs put behind their multipliers. All
operands are unsigned: neither product borrows from the other, and splitting is wiring.

In 8x8 and 8x4 mode both banks of nibbles are packed like that, half a multiplier a product of 8x4
bits; with 8x8 products alone a byte takes the place of two nibbles, half a multiplier a product of
8x8 bits. Multiplications are ordinary ones, which synthesis maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.utils import ceil_log2

from golden.ops.psmac import MacMode, PsMac
from hw.array.mac.pe import (
    X_BITS,
    accumulate,
    channel_members,
    shared_members,
    tree_sum,
)
from hw.precision import NIBBLE_BITS, Precision

PITCH = 18  # bits from one channel's weight to the other's: a signed 27-bit operand holds a byte


class PackedPE(wiring.Component):
    """Two `PE`s in one: the same members, timing and results, with the activations in common.

    ``channel[0]`` and ``channel[1]`` have the `channel_members`, the component itself the
    `shared_members`.
    """

    CHANNELS = 2

    def __init__(self, psmac: PsMac, precision: Precision = Precision.W4A8) -> None:
        if precision.has(MacMode.W4A4):
            raise ValueError("products of 4x4 bits have no place in these multipliers")
        self.psmac = psmac
        self.precision = precision
        channel = wiring.Signature(channel_members(psmac.lanes, precision))
        super().__init__(
            shared_members(psmac.lanes, precision)
            | {"channel": wiring.Out(channel).array(self.CHANNELS)}
        )

    @property
    def channels(self) -> Sequence[Any]:
        """Where the members of each output channel are."""
        return tuple(self.channel)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        if self.precision.has(MacMode.W4):
            los = self._bank(m, "lo", self.x_lo, [channel.w_lo for channel in self.channel])
            his = self._bank(m, "hi", self.x_hi, [channel.w_hi for channel in self.channel])
            totals = [
                Mux(self.w4, hi, hi << NIBBLE_BITS) + lo for lo, hi in zip(los, his, strict=True)
            ]
        else:
            totals = self._bank(m, "sum", self.x_lo, [channel.w for channel in self.channel])
        for i, (channel, total) in enumerate(zip(self.channel, totals, strict=True)):
            accumulate(m, self, channel, total, str(i))
        return m

    def _bank(
        self, m: Module, name: str, xs: Sequence[Value], ws: Sequence[Sequence[Value]]
    ) -> list[Value]:
        """Sum of products of either channel, split from registered sums of lanes."""
        packed = [Cat(w0, Const(0, PITCH - len(w0)), w1) for w0, w1 in zip(*ws, strict=True)]
        product = X_BITS + len(ws[0][0])
        together = min(len(xs), 1 << PITCH - product)  # lanes that the guard bits can take
        bits = product + ceil_log2(together)
        split: list[list[Value]] = [[] for _ in ws]
        for at in range(0, len(xs), together):
            products = [x * w for x, w in zip(xs[at:], packed[at : at + together], strict=False)]
            total = Signal(PITCH + bits, name=f"{name}{at}", reset_less=True)
            m.d.sync += total.eq(tree_sum(products))
            for i, sums in enumerate(split):
                sums.append(total[i * PITCH :][:bits])
        return [tree_sum(sums) for sums in split]
