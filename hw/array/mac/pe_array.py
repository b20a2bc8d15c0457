"""R x Cn processing elements with operand registers; rows of results leave one per cycle."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.ops.psmac import MacMode, PsMac
from hw.array.mac.operand_sums import ColumnSum, RowSum, column_sum_bits, row_sum_bits
from hw.array.mac.packed_pe import PackedPE
from hw.array.mac.pe import PE, accumulator_bits, offset_byte, offset_nibbles
from hw.config import Config, Multiplier
from hw.isa.latencies import ACCUMULATE
from hw.precision import NIBBLE_BITS

# What the controller says about the words that the memories show in the same cycle: a chunk is
# there, which half of the activation words (8x8 mode), weights of 4 bits (never with a word of
# parameters), first and last chunk of a tile, and whether row 0 counts as zero.
CHUNK = data.StructLayout({"valid": 1, "half": 1, "w4": 1, "first": 1, "last": 1, "zero_row": 1})
ZERO = 128  # in offset form
ZERO_NIBBLE = 8

#: What computes the dot products, by the multipliers that it is written for.
PROVIDERS: dict[Multiplier, type[PE] | type[PackedPE]] = {
    Multiplier.PLAIN: PE,
    Multiplier.DSP27X18: PackedPE,
}


class PEArray(wiring.Component):
    """Multiplies one chunk a cycle; a tile's R rows of accumulators leave after its last chunk.

    Operands in cycle n; with ``chunk.last``, ``load`` is high `ACCUMULATE` cycles later, and
    ``row`` and ``row_sum`` show row r of the tile `ROW` + r cycles after that; ``column_sums`` are
    valid with ``load``. Last chunks must be R cycles apart. Cycles without a valid chunk may lie
    anywhere.

    Members: ``chunk`` control, ``a`` ([row][2K]) and ``w`` ([column][K]) memory words, ``word``
    the weight word one cycle later; the dot products are
    ``row - ROW_UNIT * row_sum - column_unit(precision) * column_sums`` (see hw/array/mac/pe.py).

    A configuration with 4x4 products also has ``x4``, a chunk of these (with ``chunk.w4``), and of
    the words that follow: the low nibbles ``a_next``, and ``w_next``, which is ``w`` again unless
    the chunk is one of these. Bytes of ``a`` and nibbles of ``a_next`` then hold -8..7.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.psmac = PsMac(lanes=config.lanes)
        accs = data.ArrayLayout(accumulator_bits(config.lanes), config.cols)
        sums = data.ArrayLayout(column_sum_bits(config.lanes, config.precision), config.cols)
        self._narrow = config.precision.has(MacMode.W4A4)
        acts = config.rows * config.act_bytes
        following = {
            "x4": In(1),
            "a_next": In(data.ArrayLayout(NIBBLE_BITS, acts)),
            "w_next": In(data.ArrayLayout(8, config.stream_bytes)),
        }
        super().__init__(
            (following if self._narrow else {})
            | {
                "chunk": In(CHUNK),
                "a": In(data.ArrayLayout(signed(8), acts)),
                "w": In(data.ArrayLayout(8, config.stream_bytes)),
                "word": Out(data.ArrayLayout(8, config.stream_bytes)),
                "load": Out(1),
                "row": Out(accs),
                "row_sum": Out(signed(row_sum_bits(config.lanes))),
                "column_sums": Out(sums),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        stages = [self.chunk]
        for i in range(ACCUMULATE):
            stage = Signal(CHUNK, name=f"chunk{i + 1}")
            m.d.sync += stage.eq(stages[-1])
            stages.append(stage)
        _, _, self._sums, done = stages
        m.d.comb += self.load.eq(done.valid & done.last)
        if self._narrow:
            self._x4, self._sums_x4 = Signal(), Signal()
            m.d.sync += [self._x4.eq(self.x4), self._sums_x4.eq(self._x4)]

        weights = [self._column(m, c) for c in range(self.config.cols)]
        above: list[Any] = []
        above_sum: RowSum | None = None
        for r in range(self.config.rows):
            x_lo, x_hi = self._row_operands(m, r)
            m.submodules[f"row_sum_{r}"] = row_sum = RowSum(
                self.config.lanes, self.config.precision
            )
            m.d.comb += row_sum.valid.eq(self._sums.valid)
            pes = self._row(m, r)
            row = [channel for pe in pes for channel in pe.channels]
            for channel, column in zip(row, weights, strict=True):
                for port, nibble in column.items():
                    m.d.comb += [
                        a.eq(b) for a, b in zip(getattr(channel, port), nibble, strict=True)
                    ]
            parts: list[Any] = [*pes, row_sum]
            for part in parts:
                m.d.comb += [part.first.eq(self._sums.first), part.load.eq(self.load)]
                m.d.comb += [a.eq(b) for a, b in zip(part.x_lo, x_lo, strict=True)]
                if self._narrow:
                    m.d.comb += part.x4.eq(self._x4)
                if self.config.precision.has(MacMode.W4):
                    m.d.comb += part.w4.eq(self._sums.w4)
                    m.d.comb += [a.eq(b) for a, b in zip(part.x_hi, x_hi, strict=True)]
            if above_sum is None:
                m.d.comb += [a.eq(channel.drain) for a, channel in zip(self.row, row, strict=True)]
                m.d.comb += self.row_sum.eq(row_sum.drain)
            else:
                m.d.comb += [a.below.eq(b.drain) for a, b in zip(above, row, strict=True)]
                m.d.comb += above_sum.below.eq(row_sum.drain)
            above, above_sum = row, row_sum
        return m

    def _row(self, m: Module, r: int) -> list[PE | PackedPE]:
        """Processing elements of row ``r``, each named after its first column."""
        provider = PROVIDERS[self.config.multiplier]
        pes = []
        for c in range(0, self.config.cols, provider.CHANNELS):
            m.submodules[f"pe_{r}_{c}"] = pe = provider(self.psmac, self.config.precision)
            pes.append(pe)
        return pes

    def _column(self, m: Module, c: int) -> dict[str, list[Any]]:
        """Registered weights of column ``c`` by port of its PEs; their sum.

        The registers hold them in offset form, so that the multipliers begin with the cycle.
        """
        lanes, four_bit = self.config.lanes, self.config.precision.has(MacMode.W4)
        m.submodules[f"column_sum_{c}"] = column = ColumnSum(lanes, self.config.precision)
        m.d.comb += [
            column.valid.eq(self._sums.valid),
            column.first.eq(self._sums.first),
            column.w4.eq(self._sums.w4 if four_bit else 0),
            self.column_sums[c].eq(column.acc),
        ]
        los, his = [], []
        for k in range(lanes):
            byte = Signal(8, name=f"w_{c}_{k}", reset_less=True)
            lo, hi = Signal(4, name=f"w_lo_{c}_{k}"), Signal(4, name=f"w_hi_{c}_{k}")
            m.d.sync += byte.eq(
                Cat(offset_nibbles(self.w[c * lanes + k], self.chunk.w4 if four_bit else 0))
            )
            m.d.comb += [
                self.word[c * lanes + k].eq(offset_byte(byte)),
                Cat(lo, hi).eq(byte), column.w_lo[k].eq(lo), column.w_hi[k].eq(hi),
            ]  # fmt: skip
            los.append(lo)
            his.append(hi)
        if self._narrow:
            m.d.comb += column.x4.eq(self._sums_x4)
            return {"w_lo": los, "w_hi": his} | self._upper_weights(m, c, column)
        if four_bit:
            return {"w_lo": los, "w_hi": his}
        return {"w": [Cat(lo, hi) for lo, hi in zip(los, his, strict=True)]}

    def _upper_weights(self, m: Module, c: int, column: ColumnSum) -> dict[str, list[Any]]:
        """Registered weights of column ``c`` that meet the activations' upper nibbles."""
        los, his = [], []
        for k in range(self.config.lanes):
            byte = Signal(8, name=f"v_{c}_{k}", reset_less=True)
            following = self.w_next[c * self.config.lanes + k]
            m.d.sync += byte.eq(Cat(offset_nibbles(following, self.chunk.w4)))
            m.d.comb += [column.v_lo[k].eq(byte[:4]), column.v_hi[k].eq(byte[4:])]
            los.append(byte[:4])
            his.append(byte[4:])
        return {"v_lo": los, "v_hi": his}

    def _row_operands(self, m: Module, r: int) -> tuple[list[Signal], list[Signal]]:
        """Registered activations of row ``r`` for the low and the high nibbles, in offset form.

        Without a chunk they are 0, which makes every product 0.
        """
        lanes, word = self.config.lanes, self.config.act_bytes
        chunk = self.chunk

        def operand(name: str, value: Any, following: int) -> Signal:
            x = Signal(8, name=name, reset_less=True)
            zero: Value | int = ZERO
            if self._narrow:
                upper = Mux(self.x4, self.a_next[following], value[NIBBLE_BITS:])
                value = Cat(offset_nibbles(Cat(value[:NIBBLE_BITS], upper), self.x4))
                zero = ZERO | Mux(self.x4, ZERO_NIBBLE, 0)
            else:
                value = offset_byte(value)
            if r == 0:
                value = Mux(chunk.zero_row, zero, value)
            m.d.sync += x.eq(Mux(chunk.valid, value, 0))
            return x

        x_lo, x_hi = [], []
        for k in range(lanes):
            at, other = r * word + k, r * word + lanes + k
            early, late = self.a[at], self.a[other]
            x_lo.append(operand(f"x_lo_{r}_{k}", Mux(chunk.half, late, early), at))
            if self.config.precision.has(MacMode.W4):
                half = Mux(chunk.half | chunk.w4, late, early)
                x_hi.append(operand(f"x_hi_{r}_{k}", half, other))
        return x_lo, x_hi
