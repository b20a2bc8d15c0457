"""The transformer block as calibrated integer nodes, and the classifier: shared by the families."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from golden.execute.tokens import Gather
from golden.graph import ir
from golden.ops.windows import Windows
from golden.quant.calibrate import Calibrator, ints
from golden.quant.search.linear import LinearParameters
from golden.quant.vit import stages
from golden.quant.vit.attention import attention
from golden.quant.vit.float_model import FloatBlocks

#: The layers of a block in execution order, whose bits a map can choose.
LAYERS = ("q", "k", "v", "proj", "fc1", "fc2")


def block(cal: Calibrator, floats: FloatBlocks, number: int, stream: str, read: float) -> str:
    """One transformer block from residual to residual; its attention may stay inside windows.

    The first token counts for ``read`` tokens where rows are queries and behind them.
    """
    part, prefix = floats.blocks[number], f"blocks.{number}"
    qkv = part.qkv.parameters()
    widths = cal.options.bits.widths
    ln1, smooth = stages.layer_norm(
        cal,
        f"{prefix}.ln1",
        stream,
        part.norm1,
        qkv.weight,
        widths(f"{prefix}.v"),
        windows=part.windows,
    )
    targets = floats.qkv(number)
    layer = smoothed(qkv, smooth)
    attn, shift, scale = attention(cal, prefix, ln1, layer, targets, part, read)
    proj = part.proj.parameters()
    proj = LinearParameters(weight=proj.weight / scale, bias=proj.bias + proj.weight @ shift)
    target = floats.attend(number, *targets)
    del targets
    with cal.weighing(read):
        stream = _into_stream(
            cal,
            floats,
            f"{prefix}.proj",
            attn,
            proj,
            target,
            stream,
            f"{prefix}.res1",
            0,
            part.windows,
        )
        return _feed_forward(cal, floats, number, stream)


def _feed_forward(cal: Calibrator, floats: FloatBlocks, number: int, stream: str) -> str:
    """LN2, fc1, GELU and fc2 of a block."""
    part, prefix = floats.blocks[number], f"blocks.{number}"
    bits = cal.options.bits
    fc1 = part.fc1.parameters()
    ln2, smooth = stages.layer_norm(
        cal, f"{prefix}.ln2", stream, part.norm2, fc1.weight, bits.widths(f"{prefix}.fc1")
    )
    target = floats.hidden(number)
    function = part.activation
    hidden = stages.mlp_hidden(cal, f"{prefix}.fc1", ln2, smoothed(fc1, smooth), target, function)
    cal.drop(ln2)
    read = bits.activations(f"{prefix}.fc2")
    gelu, zero = stages.activation(cal, f"{prefix}.gelu", hidden, function, read)
    target = floats.feed_forward(number, target)
    return _into_stream(
        cal,
        floats,
        f"{prefix}.fc2",
        gelu,
        part.fc2.parameters(),
        target,
        stream,
        f"{prefix}.res2",
        zero,
    )


def smoothed(layer: LinearParameters, smooth: npt.NDArray[np.int64]) -> LinearParameters:
    """Multiply the columns by the factors ``2**smooth`` that LayerNorm divided by."""
    return LinearParameters(weight=np.ldexp(layer.weight, smooth), bias=layer.bias)


def _into_stream(
    cal: Calibrator,
    floats: FloatBlocks,
    name: str,
    source: str,
    layer: LinearParameters,
    target: torch.Tensor,
    stream: str,
    output: str,
    zero: int = 0,
    windows: Windows | None = None,
) -> str:
    """A layer whose accumulator goes straight to the residual adder, which undoes ``windows``."""
    if cal.options.stream_target:
        unit = torch.from_numpy(2.0 ** cal.exponent(stream).astype(np.float64)).float()
        target = floats.stream - cal.values[stream].float() * unit
    x = None
    if windows is not None:  # the targets are in rows of the grid; padded tokens have none
        x = Gather(windows.places(), torch.device("cpu"))(cal.values[source])
    node = cal.accumulator(name, source, layer, target, output=f"{name}.acc", zero=zero, x=x)
    exps = cal.exponent(source) + node.weight_exp
    cal.add(node, exps, wire=True)
    cal.drop(source)
    return stages.residual(cal, output, node.output, stream, windows)


def classifier(cal: Calibrator, source: str, layer: LinearParameters, target: torch.Tensor) -> None:
    """The head: logits aligned to the finest channel's exponent, int32 proven."""
    # Products take the low bits of an int32 logit; the rest is room for the alignment.
    span = 29 - (128 * 128 * layer.weight.shape[1]).bit_length()
    node = cal.accumulator("head", source, layer, target[:, None], span=span)
    align = node.weight_exp - node.weight_exp.min()
    head = ir.Head(
        name="head",
        inputs=(source,),
        output=ir.LOGITS,
        weight=node.weight,
        bias=node.bias,
        weight_exp=node.weight_exp,
        la=ints(align),
        bits=node.bits,
    )
    exponent = int(cal.exponent(source)[0] + node.weight_exp.min())
    cal.add(head, exponent)
