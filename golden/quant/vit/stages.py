"""The stages of a transformer block as calibrated integer nodes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from golden.execute.tokens import Gather
from golden.graph import ir
from golden.ops.gelu import Activation, Gelu
from golden.ops.windows import Windows
from golden.quant.bit_widths import Widths
from golden.quant.calibrate import Calibrator, Floats, ints
from golden.quant.search import pot, smoothing
from golden.quant.search.linear import LinearParameters
from golden.quant.search.observers import ranges
from golden.quant.search.ptf import residual_exponents
from golden.quant.vit import norms
from golden.quant.vit.activations import precise
from golden.quant.vit.parameters import Norm

CONSTANT_MAX = (1 << 15) - 1


def accumulate(node: ir.Linear, cal: Calibrator) -> tuple[torch.Tensor, npt.NDArray[np.int32]]:
    """Run a layer without requantizer: its accumulators and their exponents [C]."""
    exps = cal.exponent(node.inputs[0]) + node.weight_exp
    return cal.run(node), exps


def residual(
    cal: Calibrator,
    name: str,
    acc: str,
    old: str | Floats | None,
    windows: Windows | None = None,
) -> str:
    """Residual adder of an accumulator and the old residual's edge (or constants [T, C]).

    Without either the accumulator begins the stream. It may come in the order of ``windows``.
    """
    acc_exp = cal.exponent(acc)
    made_by = cal.nodes[-1]
    assert isinstance(made_by, ir.Linear | ir.PatchEmbed)
    bound = 128 * np.abs(made_by.weight.astype(np.int64)).sum(1)
    constant = None
    inputs: tuple[str, ...]
    if isinstance(old, str):
        old_exp, inputs = cal.exponent(old), (acc, old)
    elif old is None:
        old_exp, inputs = acc_exp, (acc,)
    else:
        widest = float(np.abs(old).max())
        exponent = math.ceil(math.log2(widest / CONSTANT_MAX)) if widest > 0 else -15
        # Aligning to the finer exponent must keep the sum within 32 bits.
        room = np.floor(np.log2(2.0**30 / np.maximum(bound, 1)))
        exponent = max(exponent, int((acc_exp - room).max()))
        old_exp, inputs = ints(exponent), (acc,)
        constant = np.floor(np.ldexp(old, -exponent) + 0.5).astype(np.int16)
    fine = np.minimum(acc_exp, old_exp)
    la, lo = acc_exp - fine, old_exp - fine
    probe = ir.Residual(
        name=name,
        inputs=inputs,
        output=name,
        la=la,
        lo=lo,
        shift=np.zeros_like(fine),
        constant=constant,
        windows=windows,
    )
    total = cal.values[acc]
    if windows is not None:
        total = Gather(windows.places(), total.device)(total)
    total = total.long() << torch.from_numpy(la)
    if old is not None:
        addend = cal.values[old] if isinstance(old, str) else torch.from_numpy(constant)[None]
        total += addend.long() << torch.from_numpy(lo)
    exps = residual_exponents(
        cal.options.method,
        cal.real(total, fine),
        factors=cal.options.ptf,
        class_weight=cal.class_weight,
    )
    cal.add(replace(probe, shift=ints(exps - fine)), exps)
    cal.drop(*inputs)
    return name


def layer_norm(
    cal: Calibrator,
    name: str,
    source: str,
    norm: Norm,
    following: Floats | None = None,
    widths: Widths | None = None,
    *,
    output: str | None = None,
    windows: Windows | None = None,
) -> tuple[str, npt.NDArray[np.int64]]:
    """Integer LayerNorm; its edge and ``log2`` of the smoothing divided out of its output.

    ``following`` [O, C] are the float weights that read it and ``widths`` theirs and the output's;
    None: no smoothing, 8 bits. The edge is ``output``, or bears the node's name; its tokens are in
    the order of ``windows``.
    """
    alpha, gamma, beta, y = _normalized(cal, source, norm)
    options, widths = cal.options, widths or Widths()
    smooth = np.zeros(len(gamma), np.int64)
    if following is not None:
        smooth = smoothing.choose(
            options.method,
            y,
            following,
            widths.weights,
            options.smoothing,
            cal.class_weight,
            widths.activations,
        )
    exponent = int(cal.observe(np.ldexp(y, -smooth), bits=widths.activations)[0])
    node = norms.layer_norm(
        name,
        source,
        alpha=alpha,
        gamma=gamma,
        beta=beta,
        smooth=smooth,
        exponent=exponent,
        bits=widths.activations,
    )
    node = replace(node, output=output or name, windows=windows)
    return cal.add(node, exponent), smooth


def stream_norm(cal: Calibrator, name: str, source: str, norm: Norm) -> str:
    """Integer LayerNorm that writes the residual stream: every channel at an exponent of its own.

    The powers of two above the base are divided out of gamma and beta, as smoothing is.
    """
    alpha, gamma, beta, y = _normalized(cal, source, norm)
    options = cal.options
    exps = residual_exponents(options.method, y, factors=options.ptf, class_weight=cal.class_weight)
    base = int(exps.min())
    node = norms.layer_norm(
        name, source, alpha=alpha, gamma=gamma, beta=beta, smooth=exps - base, exponent=base
    )
    cal.add(node, exps)
    cal.drop(source)
    return name


def _normalized(
    cal: Calibrator, source: str, norm: Norm
) -> tuple[npt.NDArray[np.int32], Floats, Floats, Floats]:
    """Return alpha, float gamma and beta, and the real output on some pictures."""
    exps = cal.exponent(source)
    alpha = ints(exps - exps.min())
    gamma, beta = norm.weight.double().numpy(), norm.bias.double().numpy()
    value = cal.values[source]
    step = max(1, -(-value.numel() // (1 << 22)))
    return alpha, gamma, beta, norms.normalized(value[::step], alpha) * gamma + beta


def projection(
    cal: Calibrator,
    name: str,
    source: str,
    layer: LinearParameters,
    target: torch.Tensor,
    groups: int,
) -> str:
    """A layer with int8 output, one exponent per head (``groups``)."""
    node = cal.accumulator(name, source, layer, target)
    acc, exps = accumulate(node, cal)
    out = cal.observe(cal.real(acc, exps), groups)
    out = np.repeat(out, len(exps) // groups)
    return cal.add(replace(node, shift=ints(out - exps)), out)


def mlp_hidden(
    cal: Calibrator,
    name: str,
    source: str,
    layer: LinearParameters,
    target: torch.Tensor,
    function: Activation,
) -> str:
    """fc1 with the exponent that serves the activation best: errors count behind it."""
    node = cal.accumulator(name, source, layer, target)
    acc, exps = accumulate(node, cal)
    real = cal.real(acc, exps)
    middle = int(pot.centre(ranges(cal.options.method, real.reshape(len(real), -1, 1)))[0])
    rows, weight = pot.sample(real, cal.class_weight)
    wanted = precise(function, rows)
    errors = [
        np.square(precise(function, pot.rounded(rows, middle + o)) - wanted).sum(1) @ weight
        for o in pot.WINDOW
    ]
    out = middle + pot.WINDOW[int(np.argmin(errors))]
    return cal.add(replace(node, shift=ints(out - exps)), out, wire=True)


def _counts(value: torch.Tensor) -> npt.NDArray[np.int64]:
    """How often each int8 value occurs, [256] from -128."""
    return np.asarray(torch.bincount(value.reshape(-1).int() + 128, minlength=256).numpy())


def activation(
    cal: Calibrator, name: str, source: str, function: Activation, bits: int = 8
) -> tuple[str, int]:
    """Activation table: the output exponent and offset of least error on what fc1 made.

    Of 4 ``bits`` the finer exponents cut off the long tail of what fc1 makes.
    """
    in_exp = int(cal.exponent(source)[0])
    value = cal.values[source]
    counts = _counts(value) + (cal.class_weight - 1) * _counts(value[:, 0])
    x = np.ldexp(np.arange(-128, 128, dtype=np.float64), in_exp)
    wanted = precise(function, x)
    used = counts > 0
    lowest, highest = wanted[used].min(), wanted[used].max()
    middle = int(pot.centre(max(highest, -lowest, 1e-9), bits + 1))
    limit, finest = 1 << (bits - 1), middle - (2 if bits == 8 else 4)
    best, least = (0, 0), math.inf
    for out in range(finest, middle + 3):
        zero = max(0, math.floor(lowest / 2.0**out + 0.5) + limit)
        made = np.floor(np.ldexp(wanted, -out) + 0.5) - zero
        kept = np.clip(made, -limit, limit - 1) + zero
        error = (np.square(np.ldexp(kept, out) - wanted) * counts).sum()
        if error < least:
            best, least = (out, zero), error
    out, zero = best
    table = Gelu(in_exp=in_exp, out_exp=out, zero=zero, function=function, bits=bits).table()
    node = ir.Gelu(name=name, inputs=(source,), output=name, table=table, zero=zero, out_bits=bits)
    cal.add(node, out)
    cal.drop(source)
    return name, zero
