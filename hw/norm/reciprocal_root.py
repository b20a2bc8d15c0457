"""One reciprocal square root per token, with the two products LayerNorm takes from it."""

from typing import Any

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.ops.layernorm import MANTISSA_BITS, ROOT_BITS, LayerNorm
from hw.formats.sums import sum_widths
from hw.norm.token_variance import variance_bits


class ReciprocalRoot(wiring.Component):
    """``r, k`` of `golden.ops.layernorm.reciprocal_root`, one root bit per cycle, adders only.

    Restoring recurrence: with ``R`` the root so far and ``t = 4**j - R*R*m`` (scaled), the next
    bit is set iff ``4t >= 4*R*m + m``. That trial value is what the recurrence keeps: it doubles,
    less ``m``, plus ``4*m`` if the bit is set. Root bits leave most significant first, so ``c*r``
    and ``s1*r`` (``r`` rounded from 17 to 16 bits) accumulate beside it by Horner's rule, and the
    lanes need one multiplier for ``D*r = (c*r)*X - s1*r``.

    One root every `ROOT` = 20 cycles (V = 0: 3), the result in the last of them.

    Members
    -------
    i : ``v`` below 2**48, ``s1`` and ``c`` of a token.
    o : ``scale = c*r``, ``offset = s1*r`` and ``k``; all zero if ``v`` is.
    """

    def __init__(self, params: LayerNorm) -> None:
        self.params = params
        c_bits = params.channels.bit_length()
        s1_bits = sum_widths(params.channels)[0]
        token = data.StructLayout(
            {"v": variance_bits(params.channels), "s1": signed(s1_bits), "c": unsigned(c_bits)}
        )
        self.pairs = -(-variance_bits(params.channels) // 2)
        result = data.StructLayout(
            {
                "scale": unsigned(c_bits + ROOT_BITS),
                "offset": signed(s1_bits + ROOT_BITS),
                "k": range(self.pairs),
            }
        )
        super().__init__({"i": In(stream.Signature(token)), "o": Out(stream.Signature(result))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        token = Signal.like(self.i.p, reset_less=True)
        k = Signal(range(self.pairs))
        leading, top = self._normalized(m, token.v, k)
        value = Signal(MANTISSA_BITS, reset_less=True)  # m
        trial = Signal(43, reset_less=True)  # 4*R*m + m, R*m <= sqrt(2**56 * m)
        rest = Signal(42, reset_less=True)  # t <= (2R+1)*m
        scale = Signal.like(self.o.p.scale, reset_less=True)
        offset = Signal.like(self.o.p.offset, reset_less=True)
        ones = Signal()  # every root bit so far was one
        left = Signal(range(ROOT_BITS + 2))
        doubled, wide, bit = Signal(43), Signal(44), Signal()
        m.d.comb += [
            doubled.eq((trial << 1) - value),
            wide.eq(rest << 2),
            bit.eq(wide >= trial),
            self.o.p.scale.eq(scale),
            self.o.p.offset.eq(offset),
            self.o.p.k.eq(k),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    m.next = "LEADING"
            with m.State("LEADING"):
                m.d.sync += [k.eq(leading), scale.eq(0), offset.eq(0), ones.eq(1)]
                m.next = "ALIGN"
            with m.State("ALIGN"):
                m.d.sync += [value.eq(top), trial.eq(top), left.eq(ROOT_BITS)]
                m.d.sync += rest.eq(1 << (56 - 2 * (ROOT_BITS + 1)))
                m.next = "ROOT"
                with m.If(token.v == 0):
                    m.next = "DONE"
            with m.State("ROOT"):
                m.d.sync += [
                    left.eq(left - 1),
                    rest.eq(Mux(bit, wide - trial, wide)),
                    trial.eq(Mux(bit, doubled + (value << 2), doubled)),
                    ones.eq(ones & bit),
                ]
                for product, factor in ((scale, token.c), (offset, token.s1)):
                    with m.If(left == 0):  # (r17 + 1) >> 1, at most 65535
                        m.d.sync += product.eq(Mux(bit & ~ones, product + factor, product))
                    with m.Else():
                        m.d.sync += product.eq((product << 1) + Mux(bit, factor, 0))
                with m.If(left == 0):
                    m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += [self.o.valid.eq(1), self.i.ready.eq(self.o.ready)]
                with m.If(self.o.ready):
                    m.next = "IDLE"
                    with m.If(self.i.valid):
                        m.next = "LEADING"
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += token.eq(self.i.p)
        return m

    def _normalized(self, m: Module, v: Value, k: Signal) -> tuple[Signal, Value]:
        """Number of the leading pair of bits of ``v``; V << s in [2**46, 2**48) once it is ``k``.

        There are s/2 pairs above the leading one.
        """
        pairs = self.pairs
        padded, aligned = Signal(2 * pairs), Signal(2 * pairs)
        leading, up = Signal.like(k), Signal.like(k)
        m.d.comb += padded.eq(v)
        for p in range(pairs):
            with m.If(padded[2 * p : 2 * p + 2].any()):
                m.d.comb += leading.eq(p)
        m.d.comb += [up.eq(pairs - 1 - k), aligned.eq(padded << Cat(C(0, 1), up))]
        return leading, Cat(C(0, MANTISSA_BITS), aligned)[-MANTISSA_BITS:]
