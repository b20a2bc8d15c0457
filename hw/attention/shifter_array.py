"""Attention x V without multipliers: values shifted by their row's codes, summed over keys."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.ops.shift_attention import ACC_BITS, HALF_STEP, ShiftAttention
from hw.config import CODE_BITS
from hw.isa.limits import SHIFTS
from hw.lib.rounding import round_shift, saturate_nibble


class ShifterArray(wiring.Component):
    """``rows x lanes`` accumulators of `ShiftAttention`; ``keys`` keys for all rows per cycle.

    ```
    values ─► V, rshr(181 V, 8) ─┐  per row and key: select, shift
    codes  ─► masks, shifts ─────┴─► sum over keys ─► accumulator ─► requantize ─► words
    ```
    A lane is one channel. Several keys share its accumulator and its requantizer, which are larger
    than what selects and shifts a value.

    What comes with ``valid`` is added in the cycle after; with ``first`` it takes the place of
    the sums. The format is an input (a program field), so one array serves every ``params``.
    ``words``, two cycles after ``valid``, shows the sums requantized by ``shift``.

    Members
    -------
    valid, first : In(1).
    values : In, signed bytes, [key][lane].
    half, codes : In, the format, and 5 bits, [row][key].
    real : In, a bit per key; the others add nothing.
    shift : In(6), one of `SHIFTS`, includes the fraction bits of the format (14, or 15 for half
        steps).
    words : Out, signed bytes, [row][lane].
    narrow : In(1), ``words`` saturate to 4 bits; there if it is asked for.
    """

    def __init__(
        self,
        params: ShiftAttention,
        *,
        rows: int = 1,
        keys: int = 1,
        lanes: int = 16,
        narrow: bool = False,
    ) -> None:
        self.params = params
        self._narrow = narrow
        self.rows, self.keys, self.lanes = rows, keys, lanes
        super().__init__(
            ({"narrow": In(1)} if narrow else {})
            | {
                "valid": In(1),
                "first": In(1),
                "values": In(data.ArrayLayout(signed(8), keys * lanes)),
                "half": In(1),
                "codes": In(data.ArrayLayout(CODE_BITS, rows * keys)),
                "real": In(keys),
                "shift": In(6),
                "words": Out(data.ArrayLayout(signed(8), rows * lanes)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        plain, scaled = self._values(m)
        amount = Signal(range(len(SHIFTS)))
        m.d.comb += amount.eq(self.shift - SHIFTS.start)
        # Copies of `first` as wide as the sums that it clears.
        keep = Signal(ACC_BITS, reset_less=True)
        m.d.sync += keep.eq((~(self.valid & self.first)).replicate(ACC_BITS))
        for row in range(self.rows):
            selects = [self._code(m, row, key) for key in range(self.keys)]
            for lane in range(self.lanes):
                acc = Signal(signed(ACC_BITS), name=f"acc{row}_{lane}", reset_less=True)
                total: Any = (acc & keep).as_signed()
                for key, (use_plain, use_scaled, up) in enumerate(selects):
                    at = key * self.lanes + lane
                    value = (plain[at] & use_plain) | (scaled[at] & use_scaled)
                    total += value.as_signed() << up
                m.d.sync += acc.eq(total)
                word = round_shift(
                    m, acc[SHIFTS.start - 1 :].as_signed(), amount, 8, f"{row}_{lane}"
                )
                if self._narrow:
                    word = saturate_nibble(word, self.narrow)
                m.d.comb += self.words[row * self.lanes + lane].eq(word)
        return m

    def _values(self, m: Module) -> tuple[list[Signal], list[Signal]]:
        """Registers of the values and of what stands in for them at odd half-step codes."""
        plain, scaled = [], []
        for i in range(self.keys * self.lanes):
            plain.append(Signal(8, name=f"plain{i}", reset_less=True))
            scaled.append(Signal(8, name=f"scaled{i}", reset_less=True))
            half_step = _half_step(m, self.values[i], i)
            m.d.sync += [plain[i].eq(self.values[i]), scaled[i].eq(half_step)]
        return plain, scaled

    def _code(self, m: Module, row: int, key: int) -> tuple[Signal, Signal, Signal]:
        """Registers of what a code means: masks of the two values, and the shift.

        Masks are as wide as a value, so that a shifter is two ANDs, an OR and a shift; both are
        zero where nothing is to be added. The shift is zero without a real key: the code of one
        that is not may never have been written, and 0 shifted by what is undefined is undefined.
        """
        code = self.codes[row * self.keys + key]
        zero = code[:4].all() & (code[4] | ~self.half)
        there = self.valid & self.real[key]
        some = there & ~zero
        odd = self.half & code[0]

        def register(bits: int, name: str) -> Signal:
            return Signal(bits, name=f"{name}{row}_{key}", reset_less=True)

        use_plain, use_scaled = register(8, "use_plain"), register(8, "use_scaled")
        up = register(4, "up")
        m.d.sync += [
            up.eq(Mux(self.half, ~code[1:5], 14 - code[:4]) & there.replicate(4)),
            use_plain.eq((some & ~odd).replicate(8)),
            use_scaled.eq((some & odd).replicate(8)),
        ]
        return use_plain, use_scaled, up


def _half_step(m: Module, v: Value, lane: int) -> Value:
    """``rshr(181 * v, 8)`` as ``v - ((75 * v + 127) >> 8)``: four short adders."""
    if HALF_STEP != 181:
        raise AssertionError("the decomposition is that of 181")
    v5, v75 = Signal(signed(11), name=f"v5_{lane}"), Signal(signed(16), name=f"v75_{lane}")
    m.d.comb += [v5.eq(v + (v << 2)), v75.eq((v5 << 4) - v5 + 127)]
    return v - (v75 >> 8)
