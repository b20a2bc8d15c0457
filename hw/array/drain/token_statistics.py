"""LayerNorm statistics of a token, gathered as its residual is written."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from golden.ops.layernorm import ALPHA_MAX
from hw.array.mac.pe import tree_sum
from hw.config import Config
from hw.formats.statistics import stat_layout
from hw.lib.ports import ReadPort, WritePort


def square(q: Value) -> Value:
    """``q * q`` of a signed byte, 15 bits: half of a multiplier, as products of bits pair up."""
    size = Mux(q[7], -q, q)[:8]  # 128 at most, and then nothing but bit 7
    diagonal = Cat(Cat(size[i], 0) for i in range(7))
    pairs = [Cat(Const(0, 2 * i + 2), size[i + 1 : 7] & size[i].replicate(6 - i)) for i in range(6)]
    return Cat(tree_sum([diagonal, *pairs])[:14], size[7])


class TokenStatistics(wiring.Component):
    """Adds ``sum X`` and ``sum X**2`` of Cn channels to a token's S1 and S2, ``X = q << alpha``.

    Equals ``golden.ops.LayerNorm.statistics`` over the calls for a token, ``restart`` in the first.
    One row a cycle: ``row`` and ``q`` in cycle n, ``alpha`` in n + 1; the memory is read in
    n + 1 and written in n + 2, so a token may come again after two cycles.

    Members: ``row`` (``valid``, ``restart``, ``token``), ``q``, ``alpha``, ports of the memory.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        layout = stat_layout(config)
        bits = config.addr_bits["token"]
        super().__init__(
            {
                "row": In(data.StructLayout({"valid": 1, "restart": 1, "token": bits})),
                "q": In(data.ArrayLayout(signed(8), config.cols)),
                "alpha": In(data.ArrayLayout(unsigned(ALPHA_MAX.bit_length()), config.cols)),
                "read": Out(ReadPort(bits, layout)),
                "write": Out(WritePort(data.StructLayout({"addr": bits, **layout.members}))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        cols = self.config.cols
        shifted = Signal.like(self.row)
        summed = Signal.like(self.row)
        m.d.sync += [shifted.eq(self.row), summed.eq(shifted)]

        xs, squares = [], []
        for c in range(cols):
            q = Signal(signed(8), name=f"q_{c}", reset_less=True)
            squared = Signal(15, name=f"square_{c}", reset_less=True)
            m.d.sync += [q.eq(self.q[c]), squared.eq(square(self.q[c]))]
            x = Signal(signed(8 + ALPHA_MAX), name=f"x_{c}")
            x2 = Signal(15 + 2 * ALPHA_MAX, name=f"x2_{c}")
            m.d.comb += x.eq(q << self.alpha[c])
            with m.Switch(self.alpha[c]):
                for alpha in range(ALPHA_MAX + 1):
                    with m.Case(alpha):
                        m.d.comb += x2.eq(squared << (2 * alpha))
            xs.append(x)
            squares.append(x2)
        s1 = Signal(signed(8 + ALPHA_MAX + ceil_log2(cols)), reset_less=True)
        s2 = Signal(15 + 2 * ALPHA_MAX + ceil_log2(cols), reset_less=True)
        m.d.sync += [s1.eq(tree_sum(xs)), s2.eq(tree_sum(squares))]

        old = self.read.data
        m.d.comb += [
            self.read.en.eq(shifted.valid & ~shifted.restart),
            self.read.addr.eq(shifted.token),
            self.write.en.eq(summed.valid),
            self.write.payload.addr.eq(summed.token),
            self.write.payload.s1.eq(s1 + Mux(summed.restart, 0, old.s1)),
            self.write.payload.s2.eq(s2 + Mux(summed.restart, 0, old.s2)),
        ]
        return m
