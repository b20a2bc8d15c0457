"""R x Cn processing elements with operand registers; rows of results leave one per cycle."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.ops.psmac import PsMac
from hw.config import Config
from hw.pe import PE, accumulator_bits, weight_nibbles

# What the controller says about the words that the memories show in the same cycle: a chunk is
# there, which half of the activation words (8x8 mode), first and last chunk of a tile, and
# whether row 0 counts as zero.
CHUNK = data.StructLayout({"valid": 1, "half": 1, "w4": 1, "first": 1, "last": 1, "zero_row": 1})


class PEArray(wiring.Component):
    """Multiplies one chunk a cycle; a tile's R rows of accumulators leave after its last chunk.

    Operands in cycle n; with ``chunk.last``, ``load`` is high in cycle n + 3 and ``row`` shows row
    r of the tile in cycle n + 4 + r. Last chunks must be R cycles apart. Cycles without a valid
    chunk may lie anywhere: their operands are taken as zero.

    Members: ``chunk`` control, ``a`` ([row][2K]) and ``w`` ([column][K]) memory words, ``word``
    the weight word one cycle later, ``row`` and ``load`` as above.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.psmac = PsMac(lanes=config.lanes, acc_bits=accumulator_bits(config.lanes))
        super().__init__(
            {
                "chunk": In(CHUNK),
                "a": In(data.ArrayLayout(signed(8), config.rows * config.act_bytes)),
                "w": In(data.ArrayLayout(8, config.stream_bytes)),
                "word": Out(data.ArrayLayout(8, config.stream_bytes)),
                "load": Out(1),
                "row": Out(data.ArrayLayout(signed(self.psmac.acc_bits), config.cols)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        cols, lanes, four_bit = self.config.cols, self.config.lanes, self.config.four_bit
        stages = [self.chunk]
        for i in range(3):
            stage = Signal(CHUNK, name=f"chunk{i + 1}")
            m.d.sync += stage.eq(stages[-1])
            stages.append(stage)
        _, operands, sums, done = stages
        m.d.comb += self.load.eq(done.valid & done.last)

        words = []
        for i in range(cols * lanes):
            byte = Signal(8, name=f"w_{i // lanes}_{i % lanes}", reset_less=True)
            m.d.sync += byte.eq(self.w[i])
            m.d.comb += self.word[i].eq(byte)
            words.append(byte)
        nibbles = [weight_nibbles(w, operands.w4) for w in words]

        above: list[PE] = []
        for r in range(self.config.rows):
            x_lo, x_hi = self._row_operands(m, r)
            row = [PE(self.psmac, four_bit=four_bit) for _ in range(cols)]
            for c, pe in enumerate(row):
                m.submodules[f"pe_{r}_{c}"] = pe
                m.d.comb += [pe.first.eq(sums.first), pe.load.eq(self.load)]
                if four_bit:
                    m.d.comb += pe.w4.eq(sums.w4)
                for k in range(lanes):
                    at = c * lanes + k
                    m.d.comb += pe.x_lo[k].eq(x_lo[k])
                    if four_bit:
                        lo, hi = nibbles[at]
                        m.d.comb += [
                            pe.x_hi[k].eq(x_hi[k]), pe.w_lo[k].eq(lo), pe.w_hi[k].eq(hi)
                        ]  # fmt: skip
                    else:
                        m.d.comb += pe.w[k].eq(words[at].as_signed())
            if above:
                m.d.comb += [a.below.eq(b.drain) for a, b in zip(above, row, strict=True)]
            else:
                m.d.comb += [self.row[c].eq(pe.drain) for c, pe in enumerate(row)]
            above = row
        return m

    def _row_operands(self, m: Module, r: int) -> tuple[list[Signal], list[Signal]]:
        """Registered activations of row ``r`` for the low and the high nibbles."""
        lanes, word = self.config.lanes, self.config.act_bytes
        chunk = self.chunk
        used = Signal(name=f"used_{r}")
        m.d.comb += used.eq(chunk.valid & ~chunk.zero_row if r == 0 else chunk.valid)
        x_lo, x_hi = [], []
        for k in range(lanes):
            early, late = self.a[r * word + k], self.a[r * word + lanes + k]
            lo = Signal(signed(8), name=f"x_lo_{r}_{k}", reset_less=True)
            m.d.sync += lo.eq(Mux(used, Mux(chunk.half, late, early), 0))
            x_lo.append(lo)
            if self.config.four_bit:
                hi = Signal(signed(8), name=f"x_hi_{r}_{k}", reset_less=True)
                m.d.sync += hi.eq(Mux(used, Mux(chunk.half | chunk.w4, late, early), 0))
                x_hi.append(hi)
        return x_lo, x_hi
