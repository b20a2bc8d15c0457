"""LayerNorm datapath: serial variance and root per token, K multiplying lanes per step."""

from math import isqrt
from typing import Any

from amaranth.hdl import Cat, Const, Module, ShapeLike, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.ops.layernorm import ALPHA_MAX, FRACTION_BITS, LayerNorm
from hw.formats.layouts import shape
from hw.formats.norm import NORM_CHANNEL
from hw.isa.latencies import NORMALISE
from hw.lib.ports import ReadPort
from hw.lib.rounding import narrow_rshr, round_shift, saturate_nibble
from hw.norm.reciprocal_root import ReciprocalRoot
from hw.norm.token_variance import TokenVariance, token_layout

SHIFT_BITS = 6


def alpha_layout(lanes: int) -> data.ArrayLayout:
    """What scales the residuals of a step's channels."""
    return data.ArrayLayout(shape(NORM_CHANNEL.numbers["alpha"]), lanes)


def gain_layout(lanes: int) -> data.ArrayLayout:
    """What scales the normalised values of a step's channels; met two cycles after alpha."""
    kept = {name: shape(NORM_CHANNEL.numbers[name]) for name in ("gamma", "beta")}
    return data.ArrayLayout(data.StructLayout(kept), lanes)


def step_layout(
    lanes: int, tag: ShapeLike, word_bits: int, *, narrow: bool = False
) -> data.StructLayout:
    """A step of ``lanes`` channels: ``q``; ``last`` on the token's final step; ``shift`` (t).

    ``word`` is the address of its parameters; ``tag`` comes back with its results. With ``narrow``
    it has a bit of this name: the results saturate to 4 bits.
    """
    channels = data.ArrayLayout(signed(8), lanes)
    return data.StructLayout(
        {"q": channels, "last": 1, "shift": SHIFT_BITS, "word": word_bits, "tag": tag}
        | ({"narrow": 1} if narrow else {})
    )


class LayerNormUnit(wiring.Component):
    """Hardware of `golden.ops.LayerNorm` for any token of up to ``params.channels`` channels.

    One step of ``lanes`` channels per cycle, `NORMALISE` cycles each; the next token's root is
    computed meanwhile, so a token takes the larger of its steps and 21 cycles (at 1024 channels).
    Each lane has two multipliers: ``q * (c*r)`` and ``n * gamma``. Gamma and beta are read when
    they are needed, so no lane carries them along.

    Members
    -------
    token : sums of the next token, in the order of the steps.
    step : the next channels (`step_layout`). Waits for its token's root.
    alphas : of the step's channels, the cycle after its transfer and until the next.
    gain_read : reads gamma and beta of ``word``; the data must stay until the next read.
    y : int8 results in step order.
    waiting : a step is offered whose root is not there yet.
    """

    def __init__(
        self,
        params: LayerNorm,
        *,
        lanes: int = 8,
        tag: ShapeLike = 1,
        word_bits: int = 8,
        narrow: bool = False,
    ) -> None:
        self.params_of = params
        self.lanes = lanes
        self.narrow = narrow
        step = step_layout(lanes, tag, word_bits, narrow=narrow)
        result = data.StructLayout({"y": data.ArrayLayout(signed(8), lanes), "tag": tag})
        super().__init__(
            {
                "token": In(stream.Signature(token_layout(params.channels))),
                "step": In(stream.Signature(step)),
                "alphas": In(alpha_layout(lanes)),
                "gain_read": Out(ReadPort(word_bits, gain_layout(lanes))),
                "y": Out(stream.Signature(result)),
                "waiting": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.variance = variance = TokenVariance(self.params_of)
        m.submodules.root = root = ReciprocalRoot(self.params_of)
        wiring.connect(m, wiring.flipped(self.token), variance.i)
        wiring.connect(m, variance.o, root.i)

        current, loaded = Signal.like(root.o.p, reset_less=True), Signal()
        advance, fire = Signal(), Signal()
        m.d.comb += [
            self.step.ready.eq(advance & loaded),
            fire.eq(self.step.valid & self.step.ready),
            root.o.ready.eq(~loaded | (fire & self.step.p.last)),
            self.waiting.eq(self.step.valid & ~loaded),
        ]
        with m.If(root.o.ready):
            m.d.sync += [loaded.eq(root.o.valid), current.eq(root.o.p)]

        # Validity, shift and tag travel beside the lanes; everything moves or nothing does.
        valid = Signal(NORMALISE)
        tags = [
            Signal.like(self.step.p.tag, name=f"tag{i}", reset_less=True) for i in range(NORMALISE)
        ]
        shifts = [
            Signal(SHIFT_BITS, name=f"shift{i}", reset_less=True) for i in range(NORMALISE - 2)
        ]
        words = [Signal.like(self.step.p.word, name=f"word{i}", reset_less=True) for i in range(2)]
        offset = Signal.like(current.offset, reset_less=True)
        k = [Signal.like(current.k, reset_less=True) for _ in range(2)]
        m.d.comb += [
            advance.eq(~valid[-1] | self.y.ready),
            self.y.valid.eq(valid[-1]),
            self.y.p.tag.eq(tags[-1]),
            self.gain_read.en.eq(advance & valid[1]),
            self.gain_read.addr.eq(words[1]),
        ]
        with m.If(advance):
            m.d.sync += [
                valid.eq(Cat(fire, valid)),
                tags[0].eq(self.step.p.tag),
                shifts[0].eq(self.step.p.shift),
                words[0].eq(self.step.p.word),
                words[1].eq(words[0]),
                *(a.eq(b) for a, b in zip(tags[1:], tags, strict=False)),
                *(a.eq(b) for a, b in zip(shifts[1:], shifts, strict=False)),
                offset.eq(current.offset),
                k[0].eq(current.k),
                k[1].eq(k[0]),
            ]
        limit: Value = Const(0)
        if self.narrow:
            narrow = Signal(NORMALISE - 1, reset_less=True)
            limit = narrow[-1]
            with m.If(advance):
                m.d.sync += narrow.eq(Cat(self.step.p.narrow, narrow))
        for lane in range(self.lanes):
            y, transfers = self._lane(m, lane, current.scale, offset, k[1], shifts[-1], limit)
            m.d.comb += self.y.p.y[lane].eq(y)
            with m.If(advance):
                m.d.sync += transfers
        return m

    def _lane(
        self, m: Module, lane: int, scale: Any, offset: Any, k: Any, shift: Any, limit: Value
    ) -> tuple[Signal, list[Any]]:
        """Result and register transfers of one lane, first stage to last."""
        alpha, gain = self.alphas[lane], self.gain_read.data[lane]
        # |D*r >> k| < 2**16 * sqrt(C) in a real channel; a padded one meets gamma = 0.
        n_bits = isqrt(self.params_of.channels << 2 * FRACTION_BITS).bit_length() + 1
        product_bits = 8 + len(scale)
        centred_bits = max(product_bits + ALPHA_MAX, len(offset)) + 1
        # |n * gamma| <= 2**(n_bits + 14), |beta| <= 2**31: their sum needs no bit of its own.
        total_bits = max(n_bits + 16, 34)

        def register(name: str, bits: int) -> Signal:
            return Signal(signed(bits), name=f"{name}_{lane}", reset_less=True)

        product, centred, n, total, rounded, y = (
            register(name, bits)
            for name, bits in (
                ("product", product_bits), ("centred", centred_bits), ("n", n_bits),
                ("total", total_bits), ("rounded", 8), ("y", 8),
            )
        )  # fmt: skip
        return y, [
            product.eq(self.step.p.q[lane] * scale),
            centred.eq((product << alpha) - offset),
            n.eq(narrow_rshr(m, centred, k, n_bits, f"n{lane}")),
            total.eq(n * gain.gamma + gain.beta),
            rounded.eq(round_shift(m, total << 1, shift, 8, f"lane{lane}")),
            y.eq(saturate_nibble(rounded, limit) if self.narrow else rounded),
        ]
