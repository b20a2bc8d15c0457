"""Quantized attention: scores, codes, values on shifters, and the tricks that cost no hardware."""

from __future__ import annotations

import math

import numpy as np
import torch

from golden.graph import ir
from golden.ops.shift_attention import HALF_STEP
from golden.ops.softmax import AttnFormat, ExpForm
from golden.quant.calibrate import Calibrator, Floats, ints
from golden.quant.search.linear import LinearParameters, in_chunks
from golden.quant.vit.parameters import Block
from golden.quant.vit.scores import LOG2_E, scores
from golden.quant.vit.stages import projection

#: Pictures that attention's exponent is searched on.
VALUE_PICTURES = 64
#: Equalization's factors are 2**-OCTAVES to 2**OCTAVES.
OCTAVES = 4


def query_scale(depth: int, form: ExpForm) -> tuple[float, int]:
    """Return ``(factor, m)`` with ``factor * 2**-m = 1/sqrt(depth)``, times log2(e) for base 2.

    The factor is folded into the query weights, the power of two into the scores' exponent.
    """
    m = math.floor(math.log2(depth) / 2)
    factor = 2.0**m / math.sqrt(depth)
    return factor * (LOG2_E if form is ExpForm.BASE2 else 1.0), m


def code_weights(fmt: AttnFormat | None) -> torch.Tensor:
    """Return what each code multiplies V by, float64 [256] (exact dyadic numbers)."""
    if fmt is None:
        return torch.arange(256, dtype=torch.float64) / 255
    codes = np.arange(256)
    if fmt is AttnFormat.LOG2:
        table = np.ldexp(1.0, -codes)
    else:
        table = np.ldexp(np.where(codes & 1, HALF_STEP / 256, 1.0), -(codes >> 1))
    return torch.from_numpy(np.where(codes >= fmt.zero_code, 0.0, table))


def codes(cal: Calibrator, prefix: str, masked: bool) -> str:
    """Softmax node on the scores; ``masked`` where windows mask keys."""
    options = cal.options
    source = f"{prefix}.scores"
    node = ir.Softmax(
        name=f"{prefix}.codes",
        inputs=(source,),
        output=f"{prefix}.codes",
        logit_exp=cal.exponent(source),
        form=options.exp,
        fmt=options.format,
        rule=options.code_rule,
        masked=masked,
    )
    cal.add(node, 0)
    cal.drop(source)
    return node.output


def value_centre(cal: Calibrator, prefix: str, v: torch.Tensor, heads: int) -> Floats:
    """Return the vector [C] that V is shifted by, from the codes and float values [N, T, C].

    Each code is off by a random factor, so a row's error grows with ``sum p^2 |v - u|^2``; the
    ``u`` of least error is the mean of V weighted by ``p^2``. Rows of the float attention sum to
    one, so ``u`` returns exactly through the projection's bias.
    """
    table = code_weights(cal.options.format).square()
    code = cal.values[f"{prefix}.codes"]
    rows = torch.ones(code.shape[-1], dtype=torch.float64)
    rows[0] = cal.class_weight
    n, tokens, channels = v.shape

    def column_sums(part: torch.Tensor) -> torch.Tensor:
        return (rows @ table[part.long()]).transpose(-1, -2).flatten(1, -2)

    power = in_chunks(column_sums, code)
    split = v.reshape(n, tokens, heads, -1).double()
    total = (split * power[..., None]).sum((0, 1)) / power.sum((0, 1))[:, None]
    return np.asarray(total.reshape(channels).numpy())


def attend(cal: Calibrator, prefix: str, heads: int) -> str:
    """Codes times V at the exponent that suits the products of the calibration pictures."""
    options = cal.options
    inputs = (f"{prefix}.codes", f"{prefix}.v")
    table = code_weights(options.format)
    v_exp = cal.exponent(inputs[1])
    depth = len(v_exp) // heads
    code, v = (cal.values[x][:VALUE_PICTURES] for x in inputs)

    def product(code: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        keys = (*code.shape[:-3], code.shape[-1])  # pictures, and windows where there are some
        split = v.reshape(*keys, heads, depth).transpose(-2, -3).double()
        return (table[code.long()] @ split).transpose(-2, -3).reshape(v.shape)

    real = np.ldexp(in_chunks(product, code, v).numpy(), v_exp)
    bits = options.bits.activations(f"{prefix}.proj")
    out = int(cal.observe(real, bits=bits)[0])
    node = ir.AttnValue(
        name=f"{prefix}.attn",
        inputs=inputs,
        output=f"{prefix}.attn",
        heads=heads,
        shift=ints(out - v_exp[::depth]),
        fmt=options.format,
        out_bits=bits,
    )
    cal.add(node, out)
    cal.drop(*inputs)
    return node.output


def octaves(over: Floats, under: Floats) -> Floats:
    """Return the powers of two nearest the root of the rms ratio, from mean squares [C]."""
    floor = 1e-12 * max(float(over.max()), float(under.max()), 1e-12)
    ratio = np.log2(np.maximum(over, floor) / np.maximum(under, floor))
    return np.exp2(np.clip(np.floor(ratio / 4 + 0.5), -OCTAVES, OCTAVES))


def affine(
    layer: LinearParameters, target: torch.Tensor, shift: Floats, scale: Floats
) -> tuple[LinearParameters, torch.Tensor]:
    """Return a layer and its target with ``(output - shift) * scale`` per channel [C]."""
    made = LinearParameters(weight=layer.weight * scale[:, None], bias=(layer.bias - shift) * scale)
    return made, (target - torch.from_numpy(shift).float()) * torch.from_numpy(scale).float()


def attention(
    cal: Calibrator,
    prefix: str,
    source: str,
    layer: LinearParameters,
    targets: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    block: Block,
    read: float,
) -> tuple[str, Floats, Floats]:
    """LN1's output to attention's output: its edge, and V's shift [C] and scale [C].

    The edge holds ``(attention - shift) * scale``: the projection undoes both. ``layer`` is the
    fused QKV layer with smoothing folded in, ``targets`` the float q, k, v. The class token counts
    for ``read`` tokens wherever rows are queries.
    """
    options, heads = cal.options, block.heads
    channels = targets[0].shape[-1]
    factor, m = query_scale(channels // heads, options.exp)
    q, k, v = (layer.rows(i * channels, (i + 1) * channels) for i in range(3))
    none, one = np.zeros(channels), np.ones(channels)
    mean, balance = none, one
    if options.equalize:
        mean = _mean(targets[1])
        balance = octaves(_power(targets[1], mean), _power(targets[0], none))
    q, target = affine(q, targets[0], none, balance * factor)
    with cal.weighing(read):
        projection(cal, f"{prefix}.q", source, q, target, heads)
    k, target = affine(k, targets[1], mean, 1 / balance)
    projection(cal, f"{prefix}.k", source, k, target, heads)
    shift = none
    with cal.weighing(read):
        scores(cal, prefix, block, m)
        codes(cal, prefix, block.windows is not None and block.windows.masks)
        if options.centre_values:
            shift = value_centre(cal, prefix, targets[2], heads)
    scale = one
    if options.equalize:
        power = _power(targets[2], shift)
        middle = np.exp2(np.log2(np.maximum(power, 1e-12)).mean())
        scale = octaves(np.full(channels, middle), power)
    v, target = affine(v, targets[2], shift, scale)
    projection(cal, f"{prefix}.v", source, v, target, heads)
    cal.drop(source)
    with cal.weighing(read):
        return attend(cal, prefix, heads), shift, scale


def _mean(x: torch.Tensor) -> Floats:
    """Mean over pictures and tokens of [N, T, C], float64 [C]."""
    return np.asarray(x.mean((0, 1), dtype=torch.float64).numpy())


def _power(x: torch.Tensor, centre: Floats) -> Floats:
    """Mean square about ``centre`` [C] over pictures and tokens of [N, T, C], float64 [C]."""
    offset = x - torch.from_numpy(centre).float()
    return np.asarray(offset.square().mean((0, 1), dtype=torch.float64).numpy())
