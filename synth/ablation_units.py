"""What the accelerator avoids: a divider softmax, multipliers on V, multiplying requantizers.

Each has the rate and the interface of the unit that it is compared with, and the narrowest widths
that its arithmetic needs, so that the comparison does not flatter ours.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.ops.softmax import E_BITS, ExpForm
from hw.attention.exponential import T_BITS, Exponential
from hw.attention.softmax_sum import sum_bits
from hw.lib.rounding import round_shift

PROBABILITY_BITS = 8


class DividerSoftmax(wiring.Component):
    """One row lane of an ordinary integer softmax: ``p = min(255, floor(256 * E / S))``.

    As `hw.attention.softmax.SoftmaxUnit`: a summing pass and a dividing pass with an exponential
    each, one key a cycle in both; ``take`` moves the sum from one to the other, distances from the
    maximum wait outside. The divider subtracts conditionally, a bit at a time, four bits a pipeline
    stage; its divisor stands still while keys of the row are in it.

    A row has at most ``keys`` keys.

    Members
    -------
    load, maximum, frac, sum_valid, sum_logit : In, summing pass.
    distance : Out(8), the cycle after ``sum_logit``.
    take : In. en, divide_distance : In, dividing pass.
    probability : Out(8), three enabled cycles after ``divide_distance``.
    """

    def __init__(self, keys: int = 256) -> None:
        self.bits = sum_bits(keys)
        super().__init__(
            {
                "load": In(1),
                "maximum": In(signed(8)),
                "frac": In(3),
                "sum_valid": In(1),
                "sum_logit": In(signed(8)),
                "distance": Out(T_BITS),
                "take": In(1),
                "en": In(1),
                "divide_distance": In(T_BITS),
                "probability": Out(PROBABILITY_BITS),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        bits = self.bits
        m.submodules.sum_exp = sum_exp = Exponential(ExpForm.BASE2)
        m.submodules.divide_exp = divide_exp = Exponential(ExpForm.BASE2)

        def register(name: str, width: int) -> Signal:
            return Signal(width, name=name, reset_less=True)

        maximum, distance = register("maximum", 8), register("distance_register", T_BITS)
        frac, valid, added = register("divide_frac", 3), Signal(), register("added", E_BITS)
        total, divisor = register("total", bits), register("divisor", bits)
        with m.If(self.load):
            m.d.sync += maximum.eq(self.maximum)
        m.d.comb += [
            self.distance.eq(distance),
            sum_exp.t.eq(distance),
            sum_exp.frac.eq(self.frac),
            divide_exp.t.eq(self.divide_distance),
            divide_exp.frac.eq(frac),
        ]
        m.d.sync += [
            distance.eq(maximum - self.sum_logit),
            valid.eq(self.sum_valid),
            added.eq(Mux(valid, sum_exp.mantissa >> sum_exp.shift, 0)),
            total.eq(Mux(self.take, 0, total) + added),
        ]
        with m.If(self.take):
            m.d.sync += [frac.eq(self.frac), divisor.eq(total)]

        e = register("e", E_BITS)
        rest: Any = e
        quotient: Any = Const(0, 0)
        with m.If(self.en):
            m.d.sync += e.eq(divide_exp.mantissa >> divide_exp.shift)
        # E = S leaves S at every step: 255, the largest.
        for bit in reversed(range(PROBABILITY_BITS)):
            doubled, less = Signal(bits + 1, name=f"doubled{bit}"), Signal(name=f"bit{bit}")
            left = Signal(bits, name=f"left{bit}")
            m.d.comb += [
                doubled.eq(rest << 1),
                less.eq(doubled >= divisor),
                left.eq(Mux(less, doubled - divisor, doubled)),
            ]
            rest, quotient = left, Cat(less, quotient)
            if bit == PROBABILITY_BITS // 2:
                kept, high = register("kept", bits), register("high", len(quotient))
                with m.If(self.en):
                    m.d.sync += [kept.eq(rest), high.eq(quotient)]
                rest, quotient = kept, high
        with m.If(self.en):
            m.d.sync += self.probability.eq(quotient)
        return m


class MultiplierArray(wiring.Component):
    """`hw.attention.shifter_array.ShifterArray` with multipliers: ``acc += p * V``, ``p`` uint8.

    The probabilities of a row sum to at most 256 as `DividerSoftmax` rounds them, so ``acc`` has
    17 bits, 8 of them fraction. Members as there, with ``probabilities`` for ``codes``; ``shift``
    is one of as many `SHIFTS`. Every key counts; one that should not has probability zero.
    """

    ACC_BITS = 17
    SHIFTS = range(2, 18)

    def __init__(self, *, rows: int, keys: int, lanes: int) -> None:
        self.rows, self.keys, self.lanes = rows, keys, lanes
        super().__init__(
            {
                "valid": In(1),
                "first": In(1),
                "values": In(data.ArrayLayout(signed(8), keys * lanes)),
                "probabilities": In(data.ArrayLayout(PROBABILITY_BITS, rows * keys)),
                "shift": In(5),
                "words": Out(data.ArrayLayout(signed(8), rows * lanes)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()

        def register(shape: Any, name: str) -> Signal:
            return Signal(shape, name=name, reset_less=True)

        values = [register(signed(8), f"v{i}") for i in range(self.keys * self.lanes)]
        keep = register(self.ACC_BITS, "keep")
        m.d.sync += [v.eq(self.values[i]) for i, v in enumerate(values)]
        m.d.sync += keep.eq((~(self.valid & self.first)).replicate(self.ACC_BITS))
        amount = Signal(range(len(self.SHIFTS)))
        m.d.comb += amount.eq(self.shift - self.SHIFTS.start)
        for row in range(self.rows):
            p = [register(PROBABILITY_BITS, f"p{row}_{key}") for key in range(self.keys)]
            for key in range(self.keys):
                given = self.probabilities[row * self.keys + key]
                m.d.sync += p[key].eq(Mux(self.valid, given, 0))
            for lane in range(self.lanes):
                acc = register(signed(self.ACC_BITS), f"acc{row}_{lane}")
                total: Any = (acc & keep).as_signed()
                for key in range(self.keys):
                    total += values[key * self.lanes + lane] * p[key]
                m.d.sync += acc.eq(total)
                word = round_shift(
                    m, acc[self.SHIFTS.start - 1 :].as_signed(), amount, 8, f"{row}_{lane}"
                )
                m.d.comb += self.words[row * self.lanes + lane].eq(word)
        return m


class DyadicRequantizer(wiring.Component):
    """``y = sat8(rshr(acc * multiplier, shift))``, combinational.

    In place of `hw.array.drain.requantizer.Requantizer`, the usual requantization by a real factor:
    an unsigned 16-bit ``multiplier`` (less than the 31 bits of TFLite) and a right shift 0..63.
    """

    MULTIPLIER_BITS = 16

    def __init__(self, acc_bits: int = 32) -> None:
        super().__init__(
            {
                "acc": In(signed(acc_bits)),
                "multiplier": In(self.MULTIPLIER_BITS),
                "shift": In(6),
                "y": Out(signed(8)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        product = Signal(signed(len(self.acc) + self.MULTIPLIER_BITS + 1))
        m.d.comb += [
            product.eq(self.acc * self.multiplier),
            self.y.eq(round_shift(m, product << 1, self.shift, 8, "y")),
        ]
        return m
