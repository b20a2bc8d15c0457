"""Attention x V without multipliers: every lane adds a value shifted by its row's code."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.ops.shift_attention import ACC_BITS, HALF_STEP, ShiftAttention
from hw.rounding import round_shift


class ShifterArray(wiring.Component):
    """``rows x lanes`` accumulators of `ShiftAttention`; one key for all rows per cycle.

    ``load`` registers the values and codes of a key and prepares ``rshr(181 * V, 8)``, which odd
    half-step codes use; with ``add`` in a later cycle they enter all accumulators. The format is
    an input (a program field), so one array serves every ``params``.
    The sums leave ``word`` lanes per row at a time: ``words`` shows lanes 0.. requantized by
    ``shift``, ``step`` moves on to the next ones; after ``lanes / word`` steps every accumulator
    is zero again. ``add`` and ``step`` exclude each other. Nothing is cleared by reset: make
    those steps first.

    Members
    -------
    load, values : In, ``lanes`` signed bytes.
    half, codes : In, with ``load``: the format, and 5 bits per row.
    add : In(1).
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
                "half": In(1),
                "codes": In(data.ArrayLayout(5, rows)),
                "add": In(1),
                "step": In(1),
                "shift": In(6),
                "words": Out(data.ArrayLayout(signed(8), rows * word)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()

        def register(bits: int, name: str) -> Signal:
            return Signal(bits, name=name, reset_less=True)

        plain = [register(8, f"plain{i}") for i in range(self.lanes)]
        scaled = [register(8, f"scaled{i}") for i in range(self.lanes)]
        half_steps = [_half_step(m, self.values[i], i) for i in range(self.lanes)]
        with m.If(self.load):
            for i in range(self.lanes):
                m.d.sync += [plain[i].eq(self.values[i]), scaled[i].eq(half_steps[i])]
        amount = Signal(5)
        m.d.comb += amount.eq(Mux(self.shift[5], 31, self.shift))
        for row in range(self.rows):
            code = self.codes[row]
            some = ~(code[:4].all() & (code[4] | ~self.half))
            odd = self.half & code[0]
            # Masks as wide as a value, so that a lane is two ANDs, an OR, a shift and an add.
            up = register(4, f"up{row}")
            use_plain = register(8, f"use_plain{row}")
            use_scaled = register(8, f"use_scaled{row}")
            with m.If(self.load):
                m.d.sync += [
                    up.eq(Mux(self.half, ~code[1:5], 14 - code[:4])),
                    use_plain.eq((some & ~odd).replicate(8)),
                    use_scaled.eq((some & odd).replicate(8)),
                ]
            now_plain, now_scaled = (
                Signal(8, name=f"plain_row{row}"),
                Signal(8, name=f"odd_row{row}"),
            )
            m.d.comb += [
                now_plain.eq(Mux(self.add, use_plain, 0)),
                now_scaled.eq(Mux(self.add, use_scaled, 0)),
            ]
            acc = [
                Signal(signed(ACC_BITS), name=f"acc{row}_{i}", reset_less=True)
                for i in range(self.lanes)
            ]
            for i in range(self.lanes):
                value = (plain[i] & now_plain) | (scaled[i] & now_scaled)
                after = acc[i + self.word] if i + self.word < self.lanes else 0
                m.d.sync += acc[i].eq(Mux(self.step, after, acc[i] + (value.as_signed() << up)))
            for i in range(self.word):
                word = round_shift(m, acc[i] << 1, amount, 8, f"{row}_{i}")
                m.d.comb += self.words[row * self.word + i].eq(word)
        return m


def _half_step(m: Module, v: Value, lane: int) -> Value:
    """``rshr(181 * v, 8)`` as ``v - ((75 * v + 127) >> 8)``: four short adders."""
    if HALF_STEP != 181:
        raise AssertionError("the decomposition is that of 181")
    v5, v75 = Signal(signed(11), name=f"v5_{lane}"), Signal(signed(16), name=f"v75_{lane}")
    m.d.comb += [v5.eq(v + (v << 2)), v75.eq((v5 << 4) - v5 + 127)]
    return v - (v75 >> 8)
