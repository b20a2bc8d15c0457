"""Integer exponential of one row lane: a 16-bit mantissa and a right shift."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.ops.softmax import E_BITS, EXP_LUT, LUT_BITS, ExpForm, LogIntSoftmax

T_BITS = 8
QUOTIENT_BITS = 11  # t // step = ((t + 1) * (2047 // step)) >> 11 for every step in use


class Exponential(wiring.Component):
    """``E = mantissa >> shift``, the exponential that `LogIntSoftmax` with ``form`` defines.

    Combinational. Bit 15 of the mantissa is always set and ``shift`` is 0..16, so the leading one
    of ``E`` is bit ``15 - shift`` and ``E`` is zero only at 16: whoever compares exponentials
    needs no leading-one detector.

    Members
    -------
    t : In(8), distance from the row maximum.
    frac : In(3), minus the logit exponent, 0..5.
    masked : In(1), a ``t`` of 255 is a masked key, whose ``E`` is zero; unmasked ones are nearer.
    mantissa, shift : Out(16), Out(5).
    """

    def __init__(self, form: ExpForm) -> None:
        self.form = form
        super().__init__(
            {
                "t": In(T_BITS),
                "frac": In(3),
                "masked": In(1),
                "mantissa": Out(E_BITS),
                "shift": Out(range(E_BITS + 1)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        shift = Signal.like(self.shift)
        m.d.comb += self.shift.eq(Mux(self.masked & self.t.all(), E_BITS, shift))
        if self.form is ExpForm.BASE2:
            fixed = Signal(T_BITS + LUT_BITS)
            m.d.comb += [
                fixed.eq((self.t << LUT_BITS) >> self.frac),
                shift.eq(_at_most_16(fixed[LUT_BITS:])),
            ]
            _table(m, fixed[:LUT_BITS], dict(enumerate(EXP_LUT)), self.mantissa)
        else:
            self._polynomial(m, shift)
        return m

    def _polynomial(self, m: Module, shift: Signal) -> None:
        """I-BERT's z(r): the remainders of six step sizes are 47 arguments, so it is a table."""
        params = LogIntSoftmax(form=ExpForm.IEXP)
        step, inverse = Signal(5), Signal(QUOTIENT_BITS + 1)
        quotient, rest = Signal(T_BITS), Signal(5)
        values, low = {}, {}
        with m.Switch(self.frac):
            for f in range(LUT_BITS + 1):
                size = -((-6931 << f) // 10000)  # ceil(0.6931 * 2**f)
                factor = ((1 << QUOTIENT_BITS) - 1) // size
                for t in range(1 << T_BITS):
                    if ((t + 1) * factor) >> QUOTIENT_BITS != t // size:
                        raise AssertionError(f"{t} // {size} is not exact")
                for r in range(size):
                    z = int(params.exponential(r, -f))
                    values[r << 3 | f], low[r << 3 | f] = z << (z < 1 << 15), z < 1 << 15
                with m.Case(f):
                    m.d.comb += [step.eq(size), inverse.eq(factor)]
        index, half = Signal(8), Signal()
        m.d.comb += [
            quotient.eq(((self.t + 1) * inverse) >> QUOTIENT_BITS),
            rest.eq(self.t - quotient * step),
            index.eq(rest << 3 | self.frac),
            shift.eq(_at_most_16(quotient + half)),
        ]
        _table(m, index, values, self.mantissa)
        _table(m, index, {i: int(v) for i, v in low.items()}, half)


def _at_most_16(x: Value) -> Value:
    return Mux(x[4:].any(), Const(E_BITS, 5), x[:4])


def _table(m: Module, index: Value, values: dict[int, int], out: Signal) -> None:
    with m.Switch(index):
        for i, value in values.items():
            with m.Case(i):
                m.d.comb += out.eq(value)
