"""What a random graph is made with: nodes so far, sample values at every edge, weights that fit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from golden.execute.reference import compute_node
from golden.graph import ir

Array = npt.NDArray[Any]


def one_exponent(exponent: int) -> Array:
    """An edge's exponents where all channels have the same."""
    return np.array([exponent], np.int32)


class Growing:
    """Adds nodes one by one and carries sample values along to choose the exponents."""

    def __init__(self, rng: np.random.Generator, samples: list[Array]) -> None:
        self.rng = rng
        shape = samples[0].shape
        pixels = ir.Tensor(name="image", shape=shape, dtype="uint8", exponent=one_exponent(0))
        self.tensors = {"image": pixels}
        self.nodes: list[ir.Node] = []
        self.values: dict[str, list[Array]] = {"image": samples}

    def trial(self, node: ir.Node) -> list[Array]:
        """What ``node`` would make on the samples."""
        columns = zip(*(self.values[name] for name in node.inputs), strict=True)
        return [compute_node(node, list(column)) for column in columns]

    def add(self, node: ir.Node, exponent: Array, dtype: str = "int8", wire: bool = False) -> str:
        """Append a node, its output edge at ``exponent`` and its values; the edge's name."""
        made = self.trial(node)
        self.tensors[node.output] = ir.Tensor(
            name=node.output,
            shape=made[0].shape,
            dtype=dtype,
            exponent=exponent.astype(np.int32),
            kind=ir.Kind.WIRE if wire else ir.Kind.STORED,
            bits=ir.out_bits(node),
        )
        self.nodes.append(node)
        self.values[node.output] = [value.astype(dtype) for value in made]
        return node.output

    def graph(self, meta: dict[str, Any]) -> ir.Graph:
        """The graph of all nodes so far, from image to the last node's edge."""
        return ir.Graph(
            tensors=self.tensors,
            nodes=tuple(self.nodes),
            input="image",
            output=self.nodes[-1].output,
            meta=meta,
        )

    def exponent(self, tensor: str) -> Array:
        """Return an edge's exponents."""
        return self.tensors[tensor].exponent

    def weights(self, rows: int, columns: int, bits: int) -> tuple[Array, Array]:
        """Int weights whose rows differ in size, and exponents that even most of it out."""
        limit = 1 << (bits - 1)
        spread = self.rng.integers(0, 3, rows)
        sigma = limit / 3 / 2.0**spread
        raw = np.rint(self.rng.normal(0, 1, (rows, columns)) * sigma[:, None])
        raw[self.rng.integers(rows), self.rng.integers(columns)] = -limit
        weight = np.clip(raw, -limit, limit - 1).astype(np.int8)
        return weight, (spread - bits).astype(np.int32)

    def fit(self, accs: list[Array], exponents: Array, target: float = 44.0) -> int:
        """The output exponent that gives the real values a deviation of about ``target``."""
        real = np.concatenate([(a * 2.0**exponents).ravel() for a in accs])
        return round(math.log2(max(float(real.std()), 1e-9) / target))
