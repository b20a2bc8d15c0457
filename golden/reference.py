"""The slow, obvious executor: one image through every operator's own ``.compute()``.

It has no batching, no carriers and no tricks, so it is the oracle for the batched executor,
the compiler and the RTL.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from golden import ir, ops
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
            acc = patches(inputs[0], node.patch) @ node.weight.astype(np.int64).T
            return np.concatenate([np.zeros_like(acc[:1]), acc])
        case ir.Linear():
            acc = linear(node, inputs[0])
            return acc if node.shift is None else ops.Requantize().compute(acc, node.shift)
        case ir.Scores():
            q, k = (split_heads(x, node.heads).astype(np.int64) for x in inputs)
            return ops.Requantize().compute(q @ k.transpose(0, 2, 1), node.shift[:, None, None])
        case ir.Softmax():
            return softmax(node, inputs[0])
        case ir.AttnValue():
            return attn_value(node, *inputs)
        case ir.Gelu():
            return ops.Gelu.compute(inputs[0], node.table)
        case ir.Residual():
            old = inputs[1] if node.constant is None else node.constant
            return ops.ResidualAdd().compute(inputs[0], old, node.la, node.lo, node.shift)
        case ir.LayerNorm():
            norm = ops.LayerNorm(channels=inputs[0].shape[-1])
            return norm.compute(inputs[0], node.alpha, node.gamma, node.beta, node.shift)
        case ir.Select():
            return inputs[0][node.index : node.index + 1]
        case ir.Head():
            return linear(node, inputs[0]) << node.la.astype(np.int64)
    raise TypeError(f"no exact meaning for a {type(node).__name__} node")


def softmax(node: ir.Softmax, logits: Array) -> Array:
    """Codes of [H, T, T] logits, each head at its own exponent."""
    rows = []
    for x, exponent in zip(logits, node.logit_exp, strict=True):
        if node.fmt is not None:
            unit = ops.LogIntSoftmax(form=node.form, fmt=node.fmt, rule=node.rule)
            rows.append(unit.compute(x, int(exponent)))
        else:
            x = x.astype(np.int64)
            e = ops.LogIntSoftmax(form=node.form).exponential(
                x.max(-1, keepdims=True) - x, int(exponent)
            )
            rows.append(UniformAttention().codes(e, e.sum(-1, keepdims=True)))
    return np.stack(rows)


def attn_value(node: ir.AttnValue, codes: Array, v: Array) -> Array:
    """[H, T, T] codes times [T, C] values -> [T, C], heads side by side."""
    unit = UniformAttention() if node.fmt is None else ops.ShiftAttention(fmt=node.fmt)
    heads = [
        unit.compute(c, x, int(shift))
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
        values[node.output] = carried
        yield node, carried


def run_reference(graph: ir.Graph, image: Array) -> dict[str, Array]:
    """Return every edge a node makes, wires included, by name; logits int32 [1, classes]."""
    return {node.output: value for node, value in iterate(graph, image)}
