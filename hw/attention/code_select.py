"""Log2 code of a probability E/S: leading-one difference and compares, no divider."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.ops.softmax import E_BITS
from hw.attention.softmax_sum import sum_bits
from hw.config import CODE_BITS

THRESHOLD_BITS = 10
FQ_THRESHOLD = 384
PRODUCT_BITS = E_BITS + THRESHOLD_BITS

# One threshold T, normalised: ``factor`` is T shifted up to bit 9, ``bias`` = -8 - (its
# leading-one position), or +16 for T = 0, which every probability reaches.
THRESHOLD = data.StructLayout({"factor": THRESHOLD_BITS, "bias": signed(6)})
RULE = data.StructLayout({"half": 1, "fq": 1, "odd": THRESHOLD, "even": THRESHOLD})


def normalise_threshold(m: Module, t: Value, out: Any) -> None:
    """Drive ``out`` (`THRESHOLD`) from a 10-bit threshold."""
    m.d.comb += out.bias.eq(16)
    for top in range(THRESHOLD_BITS):
        with m.If(t[top]):  # the last assignment wins: the highest set bit
            m.d.comb += [
                out.factor.eq(t << (THRESHOLD_BITS - 1 - top)),
                out.bias.eq(-8 - top),
            ]


class CodeSelect(wiring.Component):
    """One row lane of `LogIntSoftmax.codes`; `CODE_SELECT` cycles from ``mantissa`` to ``code``.

    A threshold T counts how many n >= 0 satisfy ``T * E * 2**n <= 256 * S``. With T, E and S
    normalised, ``U = T * E`` and ``Q = S`` aligned to the same leading bit, the count is the
    difference of the leading-one positions plus one compare ``U <= Q``. Codes are
    ``count(odd)``, or ``count(odd) + count(even)`` for half steps. FQ-ViT's rule for k >= 3,
    ``(3 * 2**(k-1) - 1) * E <= 2 * S``, is ``384 * E * 2**n <= 256 * S + 128 * E``: Q gets ``E``
    added and a second compare ``2U <= Q``; equality does not earn code 2, and code 1 also
    needs ``384 * E <= 256 * S``, which the idle even lane tells.

    ``S >= E`` is required (S is a sum that contains E, and at most ``keys`` of them), ``S > 0``.

    Members
    -------
    en : In(1), both stages advance.
    mantissa, shift : In, from `Exponential`.
    normal, exponent : In, from `RowSum`; constant while keys of the row are in the two stages.
    rule : In(RULE), as constant; ``fq`` expects both thresholds to be 384.
    code : Out(5), 0..15 (15 zero) or 0..31 (31 zero) with ``half``.
    """

    def __init__(self, keys: int) -> None:
        self.bits = bits = sum_bits(keys)
        super().__init__(
            {
                "en": In(1),
                "mantissa": In(E_BITS),
                "shift": In(range(E_BITS + 1)),
                "normal": In(bits),
                "exponent": In(5),
                "rule": In(RULE),
                "code": Out(CODE_BITS),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        rule = self.rule
        # Stage 1: T * E and Q = S + E / 2 (the E term for FQ only) with S's leading bit at 25, that
        # of a product of 10 x 16 normalised bits; Q's is 25 or 26.
        e = Signal(E_BITS)  # E << shift: the bits that E's own shift drops are zero
        odd = Signal(PRODUCT_BITS, reset_less=True)
        even = Signal(PRODUCT_BITS, reset_less=True)
        up = PRODUCT_BITS - self.bits
        even_q = min(up, 1)  # Q's last bit is zero, or below what a compare with U can tell
        extra = Signal(PRODUCT_BITS - 1 - even_q)
        q = Signal(PRODUCT_BITS + 1, reset_less=True)
        zero, position = Signal(reset_less=True), Signal(6, reset_less=True)
        m.d.comb += [
            e.eq(self.mantissa & (Const((1 << E_BITS) - 1) << self.shift)),
            extra.eq(
                (Mux(rule.fq, e, 0) << (len(extra) - E_BITS))
                >> (self.exponent + self.shift - (E_BITS - 1))[:5]
            ),
        ]
        with m.If(self.en):
            m.d.sync += [
                odd.eq(rule.odd.factor * e),
                even.eq(rule.even.factor * e),
                q.eq((self.normal << up) + (extra << even_q)),
                zero.eq(self.shift[4]),
                position.eq(self.exponent + self.shift),
            ]
        # Stage 2: compare and count.
        count_odd, top_equal = self._count(
            m, odd, rule.odd.bias, position, q, "odd", most=15 + rule.half, twice=True
        )
        count_even, _ = self._count(
            m, even, rule.even.bias, position, self.normal << up, "even", most=Const(15)
        )
        code = Signal(CODE_BITS)
        with m.If(rule.half):
            m.d.comb += code.eq(count_odd + count_even)
        with m.Elif(rule.fq):
            m.d.comb += code.eq(Mux(count_even == 0, 0, count_odd - ((count_odd == 2) & top_equal)))
        with m.Else():
            m.d.comb += code.eq(count_odd)
        with m.If(self.en):
            m.d.sync += self.code.eq(code | Mux(zero, Cat(Const(15, 4), rule.half), 0))
        return m

    def _count(
        self,
        m: Module,
        product: Signal,
        bias: Value,
        position: Signal,
        q: Value,
        name: str,
        *,
        most: Value,
        twice: bool = False,
    ) -> tuple[Signal, Value]:
        """Number of n >= 0 with product * 2**n <= q, and whether the last one is an equality.

        The number is at most ``most`` (15 or 16). The compares come late: they choose among
        counts that are ready.
        """
        u = Signal(PRODUCT_BITS, name=f"u_{name}")
        low = ~product[-1]  # 10 x 16 normalised bits: the leading one is bit 24 or 25
        reached = Signal(name=f"reached_{name}")
        again = Signal(name=f"again_{name}")
        raw = Signal(signed(7), name=f"raw_{name}")
        count = Signal(5, name=f"count_{name}")
        m.d.comb += [
            u.eq(Mux(low, product << 1, product)),
            reached.eq(u <= q),
            raw.eq(position + bias + low),
            count.eq(Mux(reached, _within(m, raw + 1, most), _within(m, raw, most))),
        ]
        if twice:
            m.d.comb += again.eq((u << 1) <= q)
            with m.If(again):
                m.d.comb += count.eq(_within(m, raw + 2, most))
        return count, Mux(again, (u << 1) == q, u == q)


def _within(m: Module, x: Value, most: Value) -> Value:
    """``x`` clamped to 0..``most``, where ``most`` is 15 or 16."""
    value = Signal(signed(8))
    m.d.comb += value.eq(x)
    return Mux(value[-1], 0, Mux(value[4:7].any(), most, value[:4]))
