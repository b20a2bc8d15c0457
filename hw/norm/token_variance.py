"""Variance of one token from its sums, bit-serial: shifts and adders only."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.ops.layernorm import ALPHA_MAX, LayerNorm
from hw.formats.sums import sum_widths


def variance_bits(channels: int) -> int:
    """Bits of ``V = C*S2 - S1**2 <= C*C * (128 << 3)**2``."""
    return (channels**2 * (128 << ALPHA_MAX) ** 2).bit_length()


def token_layout(channels: int) -> data.StructLayout:
    """Sums of one token and its channel count ``c``."""
    s1_bits, s2_bits = sum_widths(channels)
    return data.StructLayout(
        {"s1": signed(s1_bits), "s2": unsigned(s2_bits), "c": channels.bit_length()}
    )


class TokenVariance(wiring.Component):
    """``V = c*s2 - s1**2`` as in `golden.ops.LayerNorm`, by Horner's rule over the bits of ``s1``.

    One token every 21 cycles at 1024 channels (the bits of S1), V in the last of them.

    Members
    -------
    i : sums of a token (`token_layout`), consistent ones: V >= 0.
    o : ``v`` with the token's ``s1`` and ``c``.
    """

    def __init__(self, params: LayerNorm) -> None:
        self.params = params
        token = token_layout(params.channels)
        result = data.StructLayout(
            {"v": variance_bits(params.channels), "s1": token["s1"].shape, "c": token["c"].shape}
        )
        super().__init__({"i": In(stream.Signature(token)), "o": Out(stream.Signature(result))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        token = Signal.like(self.i.p, reset_less=True)
        steps = len(token.s1) - 1
        # Partial sums stay within C*S2 and -(S1**2): one bit more than V, signed.
        acc = Signal(signed(len(self.o.p.v) + 1), reset_less=True)
        at = Signal(range(steps + 1))
        full = Signal()
        done = Signal()
        m.d.comb += [
            done.eq(full & (at == 0)),
            self.o.valid.eq(done),
            self.i.ready.eq(~full | (done & self.o.ready)),
            self.o.p.v.eq(acc[: len(self.o.p.v)]),
            self.o.p.s1.eq(token.s1),
            self.o.p.c.eq(token.c),
        ]
        c_bits, s1_bits = Signal(1 << len(at)), Signal(1 << len(at))
        m.d.comb += [c_bits.eq(token.c << 1), s1_bits.eq(token.s1.as_unsigned() << 1)]
        with m.If(~done & full):
            m.d.sync += at.eq(at - 1)
            m.d.sync += acc.eq(
                (acc << 1)
                + Mux(c_bits.bit_select(at, 1), token.s2, 0)
                - Mux(s1_bits.bit_select(at, 1), token.s1, 0)
            )
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                token.eq(self.i.p),
                full.eq(1),
                at.eq(steps),
                # The top bit of S1 weighs -2**steps.
                acc.eq(Mux(self.i.p.s1[-1], self.i.p.s1, 0)),
            ]
        with m.Elif(self.o.ready & done):
            m.d.sync += full.eq(0)
        return m
