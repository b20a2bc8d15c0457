"""The slow, obvious executor: one image through every operator's own ``.compute()``.

It has no batching, no carriers and no tricks, so it is the oracle for the batched executor,
the compiler and the RTL.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from golden import ops
from golden.graph import ir
from golden.ops.rounding import fits
from golden.ops.softmax import AttnFormat
from golden.ops.uniform_attention import UniformAttention

Array = npt.NDArray[Any]


def linear(node: ir.Linear | ir.Head, x: Array) -> Array:
    """Return the exact int64 accumulator of [..., K] inputs."""
    return x.astype(np.int64) @ node.weight.astype(np.int64).T + node.bias.astype(np.int64)


def patches(image: Array, patch: int) -> Array:
    """Cut uint8 [height, width, channels] into int64 rows of centred pixels, K = (ky, kx, c)."""
    height, width, channels = image.shape
    grid = image.reshape(height // patch, patch, width // patch, patch, channels)
    rows = grid.transpose(0, 2, 1, 3, 4).reshape(-1, patch * patch * channels)
    return rows.astype(np.int64) - 128


def split_heads(x: Array, heads: int) -> Array:
    """[T, C] -> [H, T, d]."""
    return x.reshape(x.shape[0], heads, -1).transpose(1, 0, 2)


def compute_node(node: ir.Node, inputs: list[Array]) -> Array:
    """Return the exact output of one node; ``TypeError`` for a node this package does not know."""
    match node:
        case ir.PatchEmbed():
            return patch_embed(node, inputs[0])
        case ir.Linear():
            acc = linear(node, inputs[0])
            return acc if node.shift is None else ops.Requantize().compute(acc, node.shift)
        case ir.Scores():
            return scores(node, *inputs)
        case ir.Softmax():
            return softmax(node, inputs[0])
        case ir.AttnValue():
            return attn_value(node, *inputs)
        case ir.Gelu():
            return ops.Gelu.compute(inputs[0], node.table)
        case ir.Residual():
            return residual(node, inputs)
        case ir.LayerNorm():
            norm = ops.LayerNorm(channels=inputs[0].shape[-1])
            constants = node.alpha, node.gamma, node.beta, node.shift
            y = norm.compute(inputs[0], *constants, node.out_bits)
            return y if node.windows is None else node.windows.compute(y)
        case ir.Select():
            return inputs[0][node.index : node.index + 1]
        case ir.Merge():
            return node.merge.compute(inputs[0])
        case ir.Pool():
            return ops.TokenPool(shift=node.shift).compute(inputs[0])
        case ir.Head():
            return linear(node, inputs[0]) << node.la.astype(np.int64)
    raise TypeError(f"no exact meaning for a {type(node).__name__} node")


def patch_embed(node: ir.PatchEmbed, image: Array) -> Array:
    """Return the exact accumulator of every token, the zeros of the prefix tokens first."""
    acc = patches(image, node.patch) @ node.weight.astype(np.int64).T
    if node.bias is not None:
        acc = acc + node.bias.astype(np.int64)
    return np.pad(acc, ((node.prefix, 0), (0, 0)))


def residual(node: ir.Residual, inputs: list[Array]) -> Array:
    """Residual addition; the accumulator leaves its window order first."""
    acc = inputs[0] if node.windows is None else node.windows.reverse(inputs[0])
    old: Array = np.zeros(1, np.int8)
    if node.constant is not None:
        old = node.constant
    elif len(inputs) == 2:
        old = inputs[1]
    return ops.ResidualAdd().compute(acc, old, node.la, node.lo, node.shift)


def scores(node: ir.Scores, q: Array, k: Array) -> Array:
    """Logits [H, T, T] of all tokens, or [W, H, n, n] of windows with bias and mask."""
    windows = node.windows
    if windows is None:
        qh, kh = (split_heads(x, node.heads).astype(np.int64) for x in (q, k))
        return ops.Requantize().compute(qh @ kh.transpose(0, 2, 1), node.shift[:, None, None])
    parts = zip(*(np.split(x, windows.count) for x in (q, k)), windows.masked(), strict=True)
    made = []
    for qw, kw, masked in parts:
        heads = zip(split_heads(qw, node.heads), split_heads(kw, node.heads), strict=True)
        made.append([_window_head(node, h, *pair, masked) for h, pair in enumerate(heads)])
    return np.array(made, np.int8)


def _window_head(node: ir.Scores, head: int, q: Array, k: Array, masked: Array) -> Array:
    """Logits [n, n] of one head in one window."""
    windows, bias, shift = node.windows, np.zeros((1, 1), np.int8), 0
    assert windows is not None
    if node.bias is not None and node.bias_shift is not None:
        bias, shift = node.bias[head], int(node.bias_shift[head])
    unit = ops.WindowScores(shift=int(node.shift[head]), bias_shift=shift, masks=windows.masks)
    return unit.compute(q, k, bias, masked)


def softmax(node: ir.Softmax, logits: Array) -> Array:
    """Codes of [H, T, T] logits, each head at its own exponent; or of [W, H, n, n] ones."""
    if logits.ndim == 4:
        return np.stack([softmax(node, window) for window in logits])
    rows = []
    for x, exponent in zip(logits, node.logit_exp, strict=True):
        unit = ops.LogIntSoftmax(form=node.form, fmt=node.fmt or AttnFormat.LOG2, rule=node.rule)
        e = unit.numerators(x, int(exponent), masked=node.masked)
        coder = UniformAttention() if node.fmt is None else unit
        rows.append(coder.codes(e, e.sum(-1, keepdims=True)))
    return np.stack(rows)


def attn_value(node: ir.AttnValue, codes: Array, v: Array) -> Array:
    """[H, T, T] codes times [T, C] values -> [T, C], heads side by side; or window by window."""
    if codes.ndim == 4:
        parts = zip(codes, np.split(v, len(codes)), strict=True)
        return np.concatenate([attn_value(node, c, x) for c, x in parts])
    unit = UniformAttention() if node.fmt is None else ops.ShiftAttention(fmt=node.fmt)
    heads = [
        unit.compute(c, x, int(shift), node.out_bits)
        for c, x, shift in zip(codes, split_heads(v, node.heads), node.shift, strict=True)
    ]
    return np.concatenate(heads, axis=-1)


def iterate(graph: ir.Graph, image: Array) -> Iterator[tuple[ir.Node, Array]]:
    """Yield every node with its exact output, in execution order.

    ``image`` is uint8 [height, width, channels]. Outputs are cast to the edge's carrier; a value
    outside it raises ``OverflowError``.
    """
    values: dict[str, Array] = {graph.input: image}
    for node in graph.nodes:
        result = compute_node(node, [values[name] for name in node.inputs])
        edge = graph.tensors[node.output]
        if tuple(result.shape) != edge.shape:
            raise ValueError(f"{edge.name}: shape {result.shape} instead of {edge.shape}")
        carried = result.astype(edge.dtype)
        if not np.array_equal(carried, result):
            raise OverflowError(f"{edge.name}: a value does not fit {edge.dtype}")
        if edge.bits < 8 and not fits(carried, edge.bits):
            raise OverflowError(f"{edge.name}: a value does not fit {edge.bits} bits")
        values[node.output] = carried
        yield node, carried


def run_reference(graph: ir.Graph, image: Array) -> dict[str, Array]:
    """Return every edge a node makes, wires included, by name; logits int32 [1, classes]."""
    return {node.output: value for node, value in iterate(graph, image)}
