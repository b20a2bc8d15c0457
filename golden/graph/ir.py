"""The integer graph: what the executor runs, the bundle stores and the compiler reads.

A tensor is (integers q, exponent e) with real = q * 2**e. An edge is *stored* (a tensor that
exists in some memory: the executor names it, hardware can checkpoint it) or a *wire* (an int32
accumulator or a value that lives only inside a fused pipeline). The operators between the edges
are described in `golden.graph.nodes` and are names of this module too: ``ir.Linear``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from golden.graph.nodes import (
    NODE_TYPES,
    VIEWS,
    Array,
    AttnValue,
    Gelu,
    Head,
    LayerNorm,
    Linear,
    Merge,
    Node,
    PatchEmbed,
    Pool,
    Residual,
    Scores,
    Select,
    Softmax,
    constants,
    out_bits,
)
from golden.support.brief import brief

__all__ = [
    "FEATURES",
    "LOGITS",
    "NODE_TYPES",
    "VIEWS",
    "Array",
    "AttnValue",
    "Gelu",
    "Graph",
    "Head",
    "Kind",
    "LayerNorm",
    "Linear",
    "Merge",
    "Node",
    "PatchEmbed",
    "Pool",
    "Residual",
    "Scores",
    "Select",
    "Softmax",
    "Tensor",
    "constants",
    "out_bits",
]

#: Names of a network's result: the classifier's, or the final LayerNorm's without a classifier.
LOGITS, FEATURES = "logits", "features"


class Kind(StrEnum):
    """Where an edge of the graph lives."""

    STORED = "stored"
    WIRE = "wire"


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """One edge: its shape without the batch, integer type and exponents.

    ``exponent`` is an int32 array that broadcasts against the last axis of ``shape`` ([1] or [C]);
    for attention's matrices it is [H]. ``dtype`` is the carrier: int8, uint8 (codes, pixels) or
    int32. ``bits`` is 4 where an int8 carrier holds integers of -8..7, which only linear layers
    read (`golden.graph.check`).
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    exponent: Array
    kind: Kind = Kind.STORED
    bits: int = 8

    def __repr__(self) -> str:
        return brief(self)


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A whole network: edges by name, nodes in execution order, the input and output edge.

    ``meta`` records what made it (model, weights source, options, preprocessing, calibration).
    """

    tensors: dict[str, Tensor]
    nodes: tuple[Node, ...]
    input: str
    output: str
    meta: dict[str, Any]

    def __repr__(self) -> str:
        """One line: what network it is, and how much of it there is."""
        made_by = " ".join(
            str(self.meta[key]) for key in ("model", "bits", "attn") if key in self.meta
        )
        count = sum(array.size for node in self.nodes for array in constants(node).values())
        ends = " to ".join(
            f"{name} {self.tensors[name].dtype}{list(self.tensors[name].shape)}"
            for name in (self.input, self.output)
        )
        return (
            f"<Graph {made_by or 'of no model'}: {len(self.nodes)} nodes, "
            f"{len(self.stored())} stored tensors, {count:,} constants, {ends}>"
        )

    def stored(self) -> list[Tensor]:
        """Every stored edge that a node makes, in execution order (what checkpoints compare)."""
        made = (self.tensors[n.output] for n in self.nodes if not isinstance(n, VIEWS))
        return [t for t in made if t.kind is Kind.STORED]

    def producer(self, tensor: str) -> Node:
        """The node that makes ``tensor``; ``KeyError`` for the graph's input."""
        for node in self.nodes:
            if node.output == tensor:
                return node
        raise KeyError(tensor)
