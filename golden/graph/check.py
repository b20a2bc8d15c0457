"""What must hold between the nodes of a graph: edges, shapes and token orders that fit.

Widths are proven where they are used (``golden.execute``); here a graph that was put together
wrongly, by hand or by an edited file, is refused by the node's name before anything runs.
"""

from __future__ import annotations

import math

import numpy as np

from golden.graph import ir
from golden.support.errors import PotvitError

Shape = tuple[int, ...]


def check_graph(graph: ir.Graph) -> None:
    """Refuse a graph whose nodes do not fit each other.

    Raises:
        PotvitError: a node reads an edge that nothing makes before it, makes one twice, or its
            inputs, constants and output do not have the shapes and bits that its meaning asks
            for; the softmax of masked windows does not know of the mask, or the other way round.
    """
    made = {graph.input}
    masks: dict[str, bool] = {}
    for node in graph.nodes:
        for name in node.inputs:
            if name not in made:
                raise PotvitError(f"{node.name}: reads {name!r}, which nothing makes before it")
        if node.output in made or node.output not in graph.tensors:
            raise PotvitError(f"{node.name}: makes {node.output!r}, which is no edge of its own")
        made.add(node.output)
        inputs = [graph.tensors[name].shape for name in node.inputs]
        wanted = _output_shape(node, inputs)
        if wanted is not None and wanted != graph.tensors[node.output].shape:
            raise PotvitError(
                f"{node.name}: makes {list(wanted)}, but edge {node.output!r} is "
                f"{list(graph.tensors[node.output].shape)}"
            )
        _check_bits(graph, node)
        if isinstance(node, ir.Scores):
            masks[node.output] = node.windows is not None and node.windows.masks
        if isinstance(node, ir.Softmax) and masks.get(node.inputs[0], False) != node.masked:
            wrong = "does not know of" if not node.masked else "expects"
            raise PotvitError(f"{node.name}: {wrong} masked keys in {node.inputs[0]!r}")
    if graph.output not in made:
        raise PotvitError(f"the graph makes no {graph.output!r}")


def _check_bits(graph: ir.Graph, node: ir.Node) -> None:
    """Widths of edges: 8, or 4 where only layers of 4-bit weights read."""
    bits, edge = ir.out_bits(node), graph.tensors[node.output]
    fits = bits in (4, 8) and edge.bits == bits
    _require(node, fits, f"makes {bits} bits, but edge {edge.name!r} has {edge.bits}")
    if isinstance(node, ir.Gelu):
        limit = 1 << (bits - 1)
        inside = node.table.min() >= -limit and node.table.max() < limit
        _require(node, bool(inside), f"its table has entries outside {bits} bits")
    narrow = [name for name in node.inputs if graph.tensors[name].bits < 8]
    reads = isinstance(node, ir.Linear) and node.bits == 4
    _require(
        node,
        reads or not narrow,
        f"reads {', '.join(narrow)} of 4 bits, which only layers of 4-bit weights multiply",
    )


def _require(node: ir.Node, holds: bool, what: str) -> None:
    if not holds:
        raise PotvitError(f"{node.name}: {what}")


def _output_shape(node: ir.Node, inputs: list[Shape]) -> Shape | None:
    """The shape that a node makes of its inputs; None for a node that is not known here."""
    match node:
        case ir.PatchEmbed():
            return _patch_tokens(node, inputs[0])
        case ir.Linear() | ir.Head():
            rows, columns = node.weight.shape
            _require(node, inputs[0][-1] == columns, f"{columns} inputs do not fit {inputs[0]}")
            return (*inputs[0][:-1], rows)
        case ir.Scores():
            return _scores(node, inputs)
        case ir.Softmax() | ir.Gelu():
            return inputs[0]
        case ir.AttnValue():
            codes, v = inputs
            keys = codes[-1] * (codes[0] if len(codes) == 4 else 1)
            fits = codes[-3] == node.heads and keys == v[0]
            _require(node, fits, f"codes {codes} of {node.heads} heads do not fit values {v}")
            return v
        case ir.Residual():
            return _residual(node, inputs)
        case ir.LayerNorm():
            tokens, channels = inputs[0]
            fits = all(len(x) == channels for x in (node.alpha, node.gamma, node.beta))
            _require(node, fits, f"parameters do not fit {channels} channels")
            if node.windows is None:
                return inputs[0]
            _tokens(node, node.windows.tokens, tokens)
            return node.windows.ordered, channels
        case ir.Select():
            _require(node, 0 <= node.index < inputs[0][0], f"no token {node.index}")
            return 1, inputs[0][1]
        case ir.Merge():
            _tokens(node, math.prod(node.merge.grid), inputs[0][0])
            return math.prod(node.merge.merged), 4 * inputs[0][1]
        case ir.Pool():
            return 1, inputs[0][1]
    return None


def _tokens(node: ir.Node, wanted: int, found: int) -> None:
    _require(node, wanted == found, f"orders {wanted} tokens, but there are {found}")


def _patch_tokens(node: ir.PatchEmbed, image: Shape) -> Shape:
    height, width, channels = image
    whole = height % node.patch == 0 and width % node.patch == 0
    _require(node, whole, f"image {height} x {width} is not made of patches of {node.patch}")
    inputs = node.patch * node.patch * channels
    _require(node, node.weight.shape[1] == inputs, f"a patch has {inputs} inputs")
    patches = (height // node.patch) * (width // node.patch)
    return patches + node.prefix, len(node.weight)


def _scores(node: ir.Scores, inputs: list[Shape]) -> Shape:
    (tokens, channels), key = inputs
    _require(node, inputs[0] == key, f"queries {inputs[0]} and keys {key} differ")
    fits = channels % node.heads == 0 and len(node.shift) == node.heads
    _require(node, fits, f"{node.heads} heads do not fit {channels} channels")
    windows = node.windows
    if windows is None:
        _require(node, node.bias is None, "a relative position bias needs windows")
        return node.heads, tokens, tokens
    _tokens(node, windows.ordered, tokens)
    if node.bias is not None:
        shape = (node.heads, windows.size, windows.size)
        bias, shift = node.bias, node.bias_shift
        fits = bias.shape == shape and bias.dtype == np.int8
        _require(node, fits, f"the bias is {bias.dtype} {bias.shape}, not int8 {shape}")
        _require(node, shift is not None and len(shift) == node.heads, "a bias without shifts")
    return windows.count, node.heads, windows.size, windows.size


def _residual(node: ir.Residual, inputs: list[Shape]) -> Shape:
    shape = inputs[0]
    if node.windows is not None:
        _require(node, len(inputs) == 2, "an order of tokens, but no old residual to meet in it")
        _tokens(node, node.windows.ordered, shape[0])
        shape = (node.windows.tokens, shape[1])
    old = inputs[1] if len(inputs) == 2 else None
    if node.constant is not None:
        _require(node, old is None, "both an old residual and a constant")
        old = node.constant.shape
    _require(node, old is None or old == shape, f"old residual {old} does not fit {shape}")
    return shape
