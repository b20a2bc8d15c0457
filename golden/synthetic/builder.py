"""Nodes of random graphs, each with the shifts that suit the values arriving at it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from golden.execute.reference import split_heads
from golden.graph import ir
from golden.ops.gelu import Gelu
from golden.ops.softmax import AttnFormat, CodeRule, ExpForm
from golden.ops.windows import Windows
from golden.synthetic.growing import Array, Growing, one_exponent

GAMMA_FRACTION = 10
GELU_ZERO = 96
#: 4-bit outputs are coarser than 8-bit ones by this many octaves.
COARSER = 4


def _coarser(bits: int) -> int:
    return 0 if bits == 8 else COARSER


class GraphBuilder(Growing):
    """A method for each kind of node, or of nodes that go together; each returns its edge."""

    def patch_embedding(
        self, channels: int, patch: int, image_channels: int, *, prefix: int = 0,
        biased: bool = False,
    ) -> str:  # fmt: skip
        """Patches to accumulators of ``channels``, behind ``prefix`` rows of zeros."""
        weight, weight_exp = self.weights(channels, patch * patch * image_channels, 8)
        bias = self.rng.integers(-3000, 3001, channels).astype(np.int32) if biased else None
        node = ir.PatchEmbed(
            name="patch_embed",
            inputs=("image",),
            output="embed.acc",
            patch=patch,
            weight=weight,
            weight_exp=weight_exp,
            bias=bias,
            prefix=prefix,
        )
        return self.add(node, weight_exp, "int32", wire=True)

    def head(self, source: str, classes: int) -> str:
        """The classifier: random weights, logits at one exponent."""
        weight, weight_exp = self.weights(classes, self.values[source][0].shape[-1], 8)
        la = (weight_exp - weight_exp.min()).astype(np.int32)
        bias = self.rng.integers(-2000, 2001, classes).astype(np.int32)
        node = ir.Head(
            name="head",
            inputs=(source,),
            output="logits",
            weight=weight,
            bias=bias,
            weight_exp=weight_exp,
            la=la,
        )
        return self.add(node, self.exponent(source) + weight_exp.min(), "int32")

    def linear(
        self,
        name: str,
        source: str,
        rows: int,
        bits: int,
        *,
        heads: int = 0,
        wire: bool = False,
        output: str | None = None,
    ) -> str:
        """A layer of random weights; int8 requantized, or the accumulator itself on a ``wire``."""
        weight, weight_exp = self.weights(rows, self.values[source][0].shape[-1], bits)
        exps = weight_exp + self.exponent(source)
        node = ir.Linear(
            name=name,
            inputs=(source,),
            output=output or name,
            weight=weight,
            bias=np.zeros(rows, np.int32),
            weight_exp=weight_exp,
            bits=bits,
        )
        deviation = np.concatenate(self.trial(node)).std(0)
        bias = np.rint(self.rng.normal(0, 0.4, rows) * deviation).astype(np.int32)
        node = replace(node, bias=bias)
        if output is not None:  # the accumulator itself feeds a residual adder
            return self.add(node, exps, "int32", wire=True)
        accs = self.trial(node)
        if heads:
            groups = np.split(np.arange(rows), heads)
            fits = [self.fit([a[:, g] for a in accs], exps[g]) for g in groups]
            out_exp: Array = np.repeat(fits, rows // heads)
        else:
            out_exp = one_exponent(self.fit(accs, exps))
        shift = np.broadcast_to(out_exp - exps, (rows,)).astype(np.int32)
        node = replace(node, shift=shift)
        return self.add(node, out_exp, wire=wire)

    def residual(
        self,
        name: str,
        acc: str,
        old: str | None,
        constant_exp: int | None = 0,
        windows: Windows | None = None,
    ) -> str:
        """Residual addition of ``acc`` and ``old``, or of a random position constant.

        With ``constant_exp`` None and no ``old`` the accumulator begins the stream. ``windows`` is
        the order that the accumulator comes in.
        """
        acc_exp = self.exponent(acc)
        accs = self.values[acc]
        if windows is not None:
            accs = [windows.reverse(a) for a in accs]
        constant = None
        olds: list[Array]
        if old is None and constant_exp is None:
            old_exp, olds = acc_exp, [np.zeros(1, np.int8)] * len(accs)
        elif old is None:
            assert constant_exp is not None
            shape = accs[0].shape
            size = self.fit(accs, acc_exp, 1.0) - constant_exp
            values = self.rng.normal(0, 2.0**size, shape)
            constant = np.clip(np.rint(values), -(1 << 15), (1 << 15) - 1).astype(np.int16)
            old_exp, olds = one_exponent(constant_exp), [constant] * len(self.values["image"])
        else:
            old_exp, olds = self.exponent(old), self.values[old]
        fine = np.minimum(acc_exp, old_exp)
        la, lo = acc_exp - fine, old_exp - fine
        sums = [
            (a.astype(np.int64) << la) + (o.astype(np.int64) << lo)
            for a, o in zip(accs, olds, strict=True)
        ]
        base = self.fit(sums, fine, 30.0) - 1
        alpha = self.rng.integers(0, 4, size=fine.shape)
        inputs = (acc,) if old is None else (acc, old)
        node = ir.Residual(
            name=name,
            inputs=inputs,
            output=name,
            la=la.astype(np.int32),
            lo=lo.astype(np.int32),
            shift=(base + alpha - fine).astype(np.int32),
            constant=constant,
            windows=windows,
        )
        return self.add(node, base + alpha)

    def layer_norm(
        self,
        name: str,
        source: str,
        target: float = 40.0,
        *,
        windows: Windows | None = None,
        stream: bool = False,
        output: str | None = None,
        bits: int = 8,
    ) -> str:
        """LayerNorm with outputs of a deviation of about ``target``, less where ``bits`` are 4.

        ``windows`` is the order it writes in; with ``stream`` it writes the residual stream, whose
        channels have exponents of their own. The edge is ``output``, or bears the node's name.
        """
        exps = self.exponent(source)
        alpha = (exps - exps.min()).astype(np.int32)
        channels = exps.shape[0]
        one = 1 << GAMMA_FRACTION
        gamma = np.rint(self.rng.normal(1, 0.4, channels) * one).astype(np.int16)
        beta = np.rint(self.rng.normal(0, 0.3, channels) * one * 65536).astype(np.int32)
        out_exp = round(-math.log2(target)) + _coarser(bits)
        made_exp = one_exponent(out_exp)
        if stream:
            factors = self.rng.integers(0, 4, channels)
            made_exp = np.asarray(out_exp - 1 + factors)
            gamma, beta = gamma >> factors, beta >> factors
            out_exp -= 1
        node = ir.LayerNorm(
            name=name,
            inputs=(source,),
            output=output or name,
            alpha=alpha,
            gamma=gamma.astype(np.int16),
            beta=beta.astype(np.int32),
            shift=16 + GAMMA_FRACTION + out_exp,
            windows=windows,
            out_bits=bits,
        )
        return self.add(node, made_exp)

    def attention(
        self,
        prefix: str,
        source: str,
        heads: int,
        bits: int,
        form: ExpForm,
        fmt: AttnFormat | None,
        rule: CodeRule,
        windows: Windows | None = None,
        out_bits: int = 8,
    ) -> str:
        """q, k, v, logits, codes and x V of ``heads`` heads, of all tokens or in ``windows``."""
        channels = self.values[source][0].shape[-1]
        q, k, v = (self.linear(f"{prefix}.{x}", source, channels, bits, heads=heads) for x in "qkv")
        logit_exp = np.array([-2 - h % 3 for h in range(heads)], np.int32)
        accs = [
            split_heads(a.astype(np.int64), heads) @ split_heads(b, heads).transpose(0, 2, 1)
            for a, b in zip(self.values[q], self.values[k], strict=True)
        ]
        shift = np.array(
            [self.fit([a[h] for a in accs], one_exponent(0)) for h in range(heads)], np.int32
        )
        bias, bias_shift = self._relative_bias(shift, windows)
        node = ir.Scores(
            name=f"{prefix}.scores",
            inputs=(q, k),
            output=f"{prefix}.scores",
            heads=heads,
            shift=shift,
            windows=windows,
            bias=bias,
            bias_shift=bias_shift,
        )
        scores = self.add(node, logit_exp)
        codes = self.add(
            ir.Softmax(
                name=f"{prefix}.codes",
                inputs=(scores,),
                output=f"{prefix}.codes",
                logit_exp=logit_exp,
                form=form,
                fmt=fmt,
                rule=rule,
                masked=windows is not None and windows.masks,
            ),
            one_exponent(0),
            "uint8",
        )
        v_exp = self.exponent(v)[:: channels // heads]
        out_exp = int(v_exp.max()) - 1 + _coarser(out_bits)
        return self.add(
            ir.AttnValue(
                name=f"{prefix}.attn",
                inputs=(codes, v),
                output=f"{prefix}.attn",
                heads=heads,
                shift=(out_exp - v_exp).astype(np.int32),
                fmt=fmt,
                out_bits=out_bits,
            ),
            one_exponent(out_exp),
        )

    def _relative_bias(
        self, shift: Array, windows: Windows | None
    ) -> tuple[Array | None, Array | None]:
        """Relative position bias of every head and its alignment; none without windows."""
        if windows is None:
            return None, None
        heads = len(shift)
        bias_shift = np.maximum(shift - self.rng.integers(0, 3, heads), 0).astype(np.int32)
        entries = (2 * windows.window[0] - 1) * (2 * windows.window[1] - 1)
        table = self.rng.normal(0, 60, (entries, heads))
        return np.clip(np.rint(windows.bias(table)), -128, 127).astype(np.int8), bias_shift

    def mlp(self, prefix: str, source: str, hidden: int, bits: int, out_bits: int = 8) -> str:
        """fc1, GELU table and fc2 up to its accumulator."""
        fc1 = self.linear(f"{prefix}.fc1", source, hidden, bits, wire=True)
        in_exp = int(self.exponent(fc1)[0])
        coarser = _coarser(out_bits)
        out_exp, zero = in_exp - 1 + coarser, GELU_ZERO >> coarser
        table = Gelu(in_exp=in_exp, out_exp=out_exp, zero=zero, bits=out_bits).table()
        gelu = self.add(
            ir.Gelu(
                name=f"{prefix}.gelu",
                inputs=(fc1,),
                output=f"{prefix}.gelu",
                table=table,
                zero=zero,
                out_bits=out_bits,
            ),
            one_exponent(out_exp),
        )
        return self.linear(
            f"{prefix}.fc2",
            gelu,
            self.values[source][0].shape[-1],
            bits,
            output=f"{prefix}.fc2.acc",
            wire=True,
        )
