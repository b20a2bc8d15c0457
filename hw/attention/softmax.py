"""Log-Int-Softmax row lanes: a summing pass and a coding pass that work on successive rows."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, Signature

from golden.ops.softmax import MASKED, LogIntSoftmax
from hw.attention.code_select import (
    FQ_THRESHOLD,
    RULE,
    THRESHOLD_BITS,
    CodeSelect,
    normalise_threshold,
)
from hw.attention.exponential import T_BITS, Exponential
from hw.attention.softmax_sum import RowSum
from hw.config import CODE_BITS

#: What the coding pass keeps of a row group.
_GROUP = data.StructLayout({"frac": 3, "masked": 1, "rule": RULE})

#: The distance that stands for a masked key where keys are masked.
FARTHEST = (1 << T_BITS) - 1


class SumLanes(Signature):
    """The summing side of `SoftmaxUnit`, seen from who runs it.

    ``load``, ``maxima`` : of a row group, signed 8 bit per row. ``frac`` : minus its logit
    exponent. ``masked`` : a logit of -128 is a masked key. ``sum_valid``, ``sum_logits`` : a key of
    every row. ``distance_valid``, ``distances`` : unsigned 8 bit per row, the cycle after the
    logits.
    """

    def __init__(self, rows: int) -> None:
        logits, distances = data.ArrayLayout(signed(8), rows), data.ArrayLayout(T_BITS, rows)
        super().__init__(
            {
                "load": Out(1),
                "maxima": Out(logits),
                "frac": Out(3),
                "masked": Out(1),
                "sum_valid": Out(1),
                "sum_logits": Out(logits),
                "distance_valid": In(1),
                "distances": In(distances),
            }
        )


class CodeLanes(Signature):
    """The coding side of `SoftmaxUnit`, seen from who runs it.

    ``take`` : the sums are there; ``half``, ``fq``, ``odd``, ``even`` : format and rule of their
    group's codes. ``en`` : the pipeline moves. ``code_distances`` : a key of every row, until
    enabled. ``codes`` : 5 bits per row.
    """

    def __init__(self, rows: int) -> None:
        super().__init__(
            {
                "take": Out(1),
                "half": Out(1),
                "fq": Out(1),
                "odd": Out(THRESHOLD_BITS),
                "even": Out(THRESHOLD_BITS),
                "en": Out(1),
                "code_distances": Out(data.ArrayLayout(T_BITS, rows)),
                "codes": In(data.ArrayLayout(CODE_BITS, rows)),
            }
        )


class SoftmaxUnit(wiring.Component):
    """``rows`` lanes of `LogIntSoftmax`, one key per row and cycle in each of two passes.

    A row has at most ``keys`` keys.

    The exponential's form is a parameter; format and rule are inputs (program fields), so one
    unit serves every ``params`` of its form. ``load`` gives the maxima of a row group; its logits
    follow under ``sum_valid`` (from the cycle after ``load``), and their distances from the
    maximum leave for whoever keeps them. ``take``, at least `SUM` cycles after the last of
    the logits, moves the sums and ``frac`` with the rule to the coding pass and clears the sums.
    There the distances come once more; ``codes`` shows the code `CODE` enabled cycles
    later. A masked key's distance is 255, which no unmasked one's is: their logits are above -128.
    A ``take`` must not come before the last distance of the group has been in the pipeline
    for ``CODE - 1`` enabled cycles (it may move in that same cycle). `SUM` and `CODE` are in
    `hw.isa.latencies`.

    Members
    -------
    `SumLanes`, `CodeLanes` : for the passes on both sides.
    """

    def __init__(self, params: LogIntSoftmax, *, rows: int = 1, keys: int = 256) -> None:
        self.params = params
        self.rows, self.keys = rows, keys
        self.sums, self.coding = SumLanes(rows), CodeLanes(rows)
        super().__init__({**self.sums.flip().members, **self.coding.flip().members})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        next_rule = Signal(RULE)
        coded = Signal(_GROUP, reset_less=True)
        m.d.comb += [next_rule.half.eq(self.half), next_rule.fq.eq(self.fq & ~self.half)]
        for field, out in ((self.odd, next_rule.odd), (self.even, next_rule.even)):
            threshold = Signal(THRESHOLD_BITS)
            m.d.comb += threshold.eq(field)
            with m.If(next_rule.fq):
                m.d.comb += threshold.eq(FQ_THRESHOLD)
            normalise_threshold(m, threshold, out)
        m.d.sync += self.distance_valid.eq(self.sum_valid)
        with m.If(self.take):
            m.d.sync += [
                coded.frac.eq(self.frac), coded.masked.eq(self.masked), coded.rule.eq(next_rule),
            ]  # fmt: skip
        for row in range(self.rows):
            self._row(m, row, coded)
        return m

    def _row(self, m: Module, row: int, coded: Any) -> None:
        sum_exp, code_exp = Exponential(self.params.form), Exponential(self.params.form)
        total, select = RowSum(self.keys), CodeSelect(self.keys)
        m.submodules[f"sum_exp{row}"] = sum_exp
        m.submodules[f"code_exp{row}"] = code_exp
        m.submodules[f"total{row}"] = total
        m.submodules[f"select{row}"] = select

        def register(name: str, bits: int) -> Signal:
            return Signal(bits, name=f"{name}{row}", reset_less=True)

        maximum, distance = register("maximum", 8), register("distance", T_BITS)
        mantissa, shift = register("mantissa", 16), register("shift", 5)
        normal, exponent = register("normal", total.bits), register("exponent", 5)
        with m.If(self.load):
            m.d.sync += maximum.eq(self.maxima[row])
        logit = self.sum_logits[row]
        hidden = self.masked & (logit == MASKED)
        m.d.sync += distance.eq(Mux(hidden, FARTHEST, maximum - logit))
        m.d.comb += [
            self.distances[row].eq(distance),
            sum_exp.t.eq(distance),
            sum_exp.frac.eq(self.frac),
            sum_exp.masked.eq(self.masked),
            total.valid.eq(self.distance_valid),
            total.mantissa.eq(sum_exp.mantissa),
            total.shift.eq(sum_exp.shift),
            total.clear.eq(self.take),
            code_exp.t.eq(self.code_distances[row]),
            code_exp.frac.eq(coded.frac),
            code_exp.masked.eq(coded.masked),
            select.en.eq(self.en),
            select.mantissa.eq(mantissa),
            select.shift.eq(shift),
            select.normal.eq(normal),
            select.exponent.eq(exponent),
            select.rule.eq(coded.rule),
            self.codes[row].eq(select.code),
        ]
        with m.If(self.take):
            m.d.sync += [
                normal.eq(total.normal),
                exponent.eq(total.exponent),
            ]
        with m.If(self.en):
            m.d.sync += [
                mantissa.eq(code_exp.mantissa),
                shift.eq(code_exp.shift),
            ]
