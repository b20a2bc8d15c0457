"""Layers of random graphs, each with the shifts that suit the values arriving at it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from golden.graph import ir
from golden.ops.windows import Windows
from golden.synthetic.growing import Array, Growing, one_exponent

GAMMA_FRACTION = 10
#: 4-bit outputs are coarser than 8-bit ones by this many octaves.
COARSER = 4


def coarser(bits: int) -> int:
    """Octaves by which an output of ``bits`` bits is coarser than one of 8."""
    return 0 if bits == 8 else COARSER


class Layers(Growing):
    """A method for each layer of a network; each returns the edge that it makes."""

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
        out_exp = round(-math.log2(target)) + coarser(bits)
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
