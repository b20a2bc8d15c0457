"""Row maxima of a row group's logits, gathered as they are written."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.array.mac.pe import offset_byte
from hw.config import Config
from hw.lib.ports import WritePort

LOWEST = -128


def tree_max(terms: Sequence[Signal], m: Module) -> Signal:
    """Largest of unsigned 8-bit ``terms`` as a balanced tree."""
    level = list(terms)
    while len(level) > 1:
        pairs = []
        for a, b in zip(level[::2], level[1::2], strict=False):
            larger = Signal(8, name="larger")
            m.d.comb += larger.eq(Mux(a > b, a, b))
            pairs.append(larger)
        level = pairs + ([level[-1]] if len(level) % 2 else [])
    return level[0]


class RowMax(wiring.Component):
    """Keeps R running maxima over the tiles of a row group and writes them after the last one.

    All R rows of a tile pass, in order, one a cycle at most: ``row`` and ``q`` in cycle n. After
    row R - 1 of a tile with ``flush`` the maxima are written in cycle n + 2.

    Members: ``row``: ``valid``; ``columns``, a bit for each that is real (a row beyond the last
    token has none and keeps -128); ``restart`` in the group's first tile; ``flush`` with the row to
    write after; ``slot`` the word to write. ``q`` int8; ``write`` the port.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        bits = config.addr_bits["slot"]
        row = {
            "valid": 1, "columns": config.cols, "restart": 1, "flush": 1, "slot": bits,
        }  # fmt: skip
        maxima = data.ArrayLayout(signed(8), config.rows)
        super().__init__(
            {
                "row": In(data.StructLayout(row)),
                "q": In(data.ArrayLayout(signed(8), config.cols)),
                "write": Out(WritePort(data.StructLayout({"addr": bits, "data": maxima}))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        row = Signal.like(self.row)
        m.d.sync += row.eq(self.row)
        # In offset form throughout: unsigned comparisons are shorter.
        masked = []
        for c in range(self.config.cols):
            q = Signal(8, name=f"masked_{c}")
            m.d.comb += q.eq(Mux(self.row.columns[c], offset_byte(self.q[c]), LOWEST + 128))
            masked.append(q)
        best = Signal(8, reset_less=True)
        m.d.sync += best.eq(tree_max(masked, m))

        # The R maxima rotate, one place a row: the oldest is the present row's.
        kept = [Signal(8, name=f"kept_{r}", reset_less=True) for r in range(self.config.rows)]
        with m.If(row.valid):
            m.d.sync += [a.eq(b) for a, b in pairwise(kept)]
            m.d.sync += kept[-1].eq(Mux(row.restart | (best > kept[0]), best, kept[0]))
        m.d.sync += [
            self.write.en.eq(row.valid & row.flush),
            self.write.payload.addr.eq(row.slot),
        ]
        m.d.comb += [self.write.payload.data[r].eq(offset_byte(q)) for r, q in enumerate(kept)]
        return m
