"""Fuse: patterns of nodes to kernels.

A pattern begins at its last node and looks back along the edges for the others. It names operators,
never a model. ``@pattern(kind)`` registers it for last nodes of a kind; the first pattern that
fits takes its nodes. A node that no kernel takes is refused by its name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from golden.graph import ir
from golden.support.errors import PotvitError
from hw.compiler.frontend.kernels import (
    Add,
    Attend,
    Begin,
    Classify,
    Embed,
    Gathered,
    Hidden,
    Keep,
    Kernel,
    Normalise,
    Pooled,
)

N = TypeVar("N", bound=ir.Node)


class Edges:
    """The graph by its edges: who makes each, and who reads it."""

    def __init__(self, graph: ir.Graph) -> None:
        self.makers = {node.output: node for node in graph.nodes}
        self.readers: dict[str, list[ir.Node]] = {}
        for node in graph.nodes:
            for name in node.inputs:
                self.readers.setdefault(name, []).append(node)

    def maker(self, edge: str, kind: type[N], *, only: bool = True) -> N | None:
        """The node of ``kind`` that makes ``edge``, and which (``only``) nobody else reads."""
        node = self.makers.get(edge)
        if not isinstance(node, kind) or (only and len(self.readers[edge]) != 1):
            return None
        return node


Pattern = Callable[[ir.Node, Edges], Kernel | None]
PATTERNS: dict[type[ir.Node], list[Pattern]] = {}


def pattern(kind: type[ir.Node]) -> Callable[[Pattern], Pattern]:
    """Register a pattern for kernels that end in a node of ``kind``."""

    def register(found: Pattern) -> Pattern:
        PATTERNS.setdefault(kind, []).append(found)
        return found

    return register


def alone(kind: type[ir.Node], kernel: Callable[..., Kernel]) -> None:
    """Register a kernel that is a single node of ``kind``."""
    pattern(kind)(lambda node, _: kernel(node=node))


def fuse(graph: ir.Graph) -> list[Kernel]:
    """Kernels in the order of their last nodes; ``PotvitError`` names a node that none takes."""
    edges, kernels, taken = Edges(graph), [], set()
    for node in graph.nodes:
        for found in PATTERNS.get(type(node), ()):
            kernel = found(node, edges)
            if kernel is not None:
                kernels.append(kernel)
                taken |= {part.name for part in kernel.nodes}
                break
    left = [node for node in graph.nodes if node.name not in taken]
    if left:
        kinds = ", ".join(f"{n.name!r} ({type(n).__name__})" for n in left[:3])
        raise PotvitError(f"only the executor runs this network: no kernel takes {kinds}")
    return kernels


@pattern(ir.Residual)
def _embed(node: ir.Node, edges: Edges) -> Kernel | None:
    assert isinstance(node, ir.Residual)
    patch = edges.maker(node.inputs[0], ir.PatchEmbed)
    if patch is None or len(node.inputs) != 1:
        return None
    return Embed(patch=patch, add=node)


@pattern(ir.Residual)
def _add(node: ir.Node, edges: Edges) -> Kernel | None:
    assert isinstance(node, ir.Residual)
    linear = edges.maker(node.inputs[0], ir.Linear)
    if linear is None or len(node.inputs) != 2 or linear.shift is not None:
        return None
    return Add(linear=linear, add=node)


@pattern(ir.Residual)
def _begin(node: ir.Node, edges: Edges) -> Kernel | None:
    assert isinstance(node, ir.Residual)
    linear = edges.maker(node.inputs[0], ir.Linear)
    if linear is None or len(node.inputs) != 1 or linear.shift is not None:
        return None
    return Begin(linear=linear, add=node) if node.constant is None else None


@pattern(ir.Gelu)
def _hidden(node: ir.Node, edges: Edges) -> Kernel | None:
    assert isinstance(node, ir.Gelu)
    linear = edges.maker(node.inputs[0], ir.Linear)
    return None if linear is None else Hidden(linear=linear, gelu=node)


@pattern(ir.AttnValue)
def _attend(node: ir.Node, edges: Edges) -> Kernel | None:
    """Self-attention: three different layers that read the same tokens."""
    assert isinstance(node, ir.AttnValue)
    softmax = edges.maker(node.inputs[0], ir.Softmax)
    scores = edges.maker(softmax.inputs[0], ir.Scores) if softmax else None
    if softmax is None or scores is None:
        return None
    q, k = (edges.maker(name, ir.Linear) for name in scores.inputs)
    v = edges.maker(node.inputs[1], ir.Linear)
    if q is None or k is None or v is None or not q.inputs == k.inputs == v.inputs:
        return None
    return Attend(q=q, k=k, v=v, scores=scores, softmax=softmax, attn=node)


alone(ir.LayerNorm, Normalise)
alone(ir.Merge, Gathered)
alone(ir.Pool, Pooled)
alone(ir.Select, Keep)
alone(ir.Head, Classify)
