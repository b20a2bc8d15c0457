"""Attention x V without multipliers: every lane adds a value shifted by its row's code."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.ops.shift_attention import ACC_BITS, HALF_STEP, ShiftAttention
from hw.rounding import rshr, saturate


class ShifterArray(wiring.Component):
    """``rows x lanes`` accumulators of `ShiftAttention`; one key for all rows per cycle.

    ``load`` registers the values of a key and prepares ``rshr(181 * V, 8)``, which odd half-step
    codes use; with ``add`` in a later cycle they enter all accumulators under ``codes`` and
    ``half``. The format is an input (a program field), so one array serves every ``params``.
    The sums leave ``word`` lanes per row at a time: ``words`` shows lanes 0.. requantized by
    ``shift``, ``step`` moves on to the next ones; after ``lanes / word`` steps every accumulator
    is zero again. ``add`` and ``step`` exclude each other.

    Members
    -------
    load, values : In, ``lanes`` signed bytes.
    add, half, codes : In, 5 bits per row.
    step : In(1).
    shift : In(6), includes the fraction bits of the format (14, or 15 for half steps).
    words : Out, ``rows * word`` signed bytes, [row][word].
    """

    def __init__(
        self, params: ShiftAttention, *, rows: int = 1, lanes: int = 16, word: int = 16
    ) -> None:
        if lanes % word:
            raise ValueError(f"{lanes} lanes do not divide into words of {word}")
        self.params = params
        self.rows, self.lanes, self.word = rows, lanes, word
        super().__init__(
            {
                "load": In(1),
                "values": In(data.ArrayLayout(signed(8), lanes)),
                "add": In(1),
                "half": In(1),
                "codes": In(data.ArrayLayout(5, rows)),
                "step": In(1),
                "shift": In(6),
                "words": Out(data.ArrayLayout(signed(8), rows * word)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        plain = [Signal(8, name=f"plain{i}") for i in range(self.lanes)]
        scaled = [Signal(8, name=f"scaled{i}") for i in range(self.lanes)]
        with m.If(self.load):
            for i in range(self.lanes):
                value = self.values[i]
                m.d.sync += [
                    plain[i].eq(value),
                    scaled[i].eq((value * HALF_STEP + 128) >> 8),
                ]
        amount = Signal(5)
        m.d.comb += amount.eq(Mux(self.shift[5], 31, self.shift))
        for row in range(self.rows):
            self._row(m, row, plain, scaled, amount)
        return m

    def _row(
        self, m: Module, row: int, plain: list[Signal], scaled: list[Signal], amount: Signal
    ) -> None:
        code = self.codes[row]
        up = Signal(4, name=f"up{row}")
        use_plain, use_scaled = Signal(8, name=f"plain_row{row}"), Signal(8, name=f"half_row{row}")
        odd = self.half & code[0]
        active = self.add & ~(code[:4].all() & (code[4] | ~self.half))
        m.d.comb += [
            up.eq(Mux(self.half, ~code[1:5], 14 - code[:4])),
            use_plain.eq((active & ~odd).replicate(8)),
            use_scaled.eq((active & odd).replicate(8)),
        ]
        acc = [Signal(signed(ACC_BITS), name=f"acc{row}_{i}") for i in range(self.lanes)]
        for i in range(self.lanes):
            value = (plain[i] & use_plain) | (scaled[i] & use_scaled)
            after = acc[i + self.word] if i + self.word < self.lanes else 0
            m.d.sync += acc[i].eq(Mux(self.step, after, acc[i] + (value.as_signed() << up)))
        for i in range(self.word):
            m.d.comb += self.words[row * self.word + i].eq(saturate(rshr(acc[i], amount), 8))
