"""A quantized graph as layers that learn, whatever family it was made from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from golden.graph import ir
from golden.quant.learn.attention import AttnValue, Scores, Softmax
from golden.quant.learn.layer import Layer, Parameters
from golden.quant.learn.products import Linear, PatchEmbed
from golden.quant.learn.tokens import Gelu, LayerNorm, Merge, Pool, Residual, Select
from golden.support.errors import PotvitError

Values = dict[str, torch.Tensor]
#: log2 of the real number that a step of the head's bias stands for.
LOGIT_STEP = -4


class LearnedNetwork:
    """``graph`` on ``device``; ``parameters`` by "node/kind" is all that can be learned.

    ``wanted`` gives real weights [C, K] that latent weights start towards, by node name. With
    ``steps`` exponents have gradients as well: those of the weights of blocks, and of every edge
    in them but the residual stream and what is read outside (`golden.quant.learn.exponents` moves
    them). ``pull`` weighs how far the residual stream saturates. Raises ``PotvitError`` for a
    graph with a node that has no form that learns.
    """

    def __init__(
        self,
        graph: ir.Graph,
        device: torch.device,
        wanted: Mapping[str, torch.Tensor] | None = None,
        *,
        steps: bool = False,
        pull: float = 0.0,
    ) -> None:
        self.graph, self.device = graph, device
        self._steps, self._pull = steps, pull
        self._wanted = wanted or {}
        self._makers = {node.output: node for node in graph.nodes}
        self.layers: list[Layer] = [self._layer(node) for node in graph.nodes]
        self.parameters: Parameters = {
            f"{layer.node.name}/{kind}": value.clone()
            for layer in self.layers
            for kind, value in layer.start.items()
        }

    def _layer(self, node: ir.Node) -> Layer:
        device, tensors = self.device, self.graph.tensors
        wanted = self._wanted.get(node.name)
        match node:
            case ir.PatchEmbed():
                return PatchEmbed(node, self._unit(node), wanted, device)
            case ir.Linear() | ir.Head():
                block = self._steps and isinstance(node, ir.Linear)
                return Linear(
                    node,
                    self._zero(node),
                    self._unit(node),
                    wanted,
                    device,
                    groups=self._groups(node) if block else 0,
                    weight_steps=block,
                )
            case ir.Scores():
                return Scores(node, self._steps, device)
            case ir.Softmax():
                return Softmax(node, tensors[node.output].shape[-1], device)
            case ir.AttnValue():
                return AttnValue(node, self._steps, device)
            case ir.Gelu():
                source, made = (int(tensors[e].exponent[0]) for e in (*node.inputs, node.output))
                return Gelu(node, source, made, self._steps, device)
            case ir.Residual():
                pull = self._pull / (128**2 * math.prod(tensors[node.output].shape))
                return Residual(node, pull, device)
            case ir.LayerNorm():
                return LayerNorm(node, self._steps and self._inside(node.output), device)
            case ir.Select():
                return Select(node)
            case ir.Merge():
                return Merge(node, device)
            case ir.Pool():
                return Pool(node)
        raise PotvitError(f"{node.name}: a {type(node).__name__} node cannot be learned")

    def _inside(self, edge: str) -> bool:
        """Whether layers of blocks alone read an edge."""
        readers = [node for node in self.graph.nodes if edge in node.inputs]
        return all(isinstance(node, ir.Linear) for node in readers)

    def _groups(self, node: ir.Node) -> int:
        """How many exponents a layer's requantized output has: heads, one, or none (a wire)."""
        if getattr(node, "shift", None) is None:
            return 0
        for reader in self.graph.nodes:
            if node.output in reader.inputs and isinstance(reader, ir.Scores | ir.AttnValue):
                return reader.heads
        return 1

    def _zero(self, node: ir.Linear | ir.Head) -> int:
        """The offset in a GELU table that the layer's bias makes up for."""
        maker = self._makers.get(node.inputs[0])
        return maker.zero if isinstance(maker, ir.Gelu) else 0

    def _unit(self, node: ir.Linear | ir.Head | ir.PatchEmbed) -> npt.NDArray[Any]:
        """What one last place of the output is in a layer's accumulators, [C]."""
        if isinstance(node, ir.Linear) and node.shift is not None:
            return np.exp2(node.shift.astype(np.float64))
        if isinstance(node, ir.Head):
            exponent = self.graph.tensors[node.output].exponent + node.la
            return np.exp2(LOGIT_STEP - exponent.astype(np.float64))
        for reader in self.graph.nodes:
            if isinstance(reader, ir.Residual) and node.output in reader.inputs:
                return np.exp2((reader.shift - reader.la).astype(np.float64))
        raise PotvitError(f"{node.name}: nothing narrows its accumulators")

    def between(self, start: str, end: str) -> range:
        """Positions of the nodes that lead from edge ``start`` to edge ``end``.

        Raises:
            PotvitError: there is no such edge, or another one is alive at either, so that the
                piece does not stand alone.
        """
        outputs = [self.graph.input, *(node.output for node in self.graph.nodes)]
        if start not in outputs or end not in outputs:
            raise PotvitError(f"the graph has no edges {start!r} and {end!r}")
        first, last = outputs.index(start), outputs.index(end)
        inside = set(outputs[first : last + 1])
        used = {name for node in self.graph.nodes[first:last] for name in node.inputs}
        later = {name for node in self.graph.nodes[last:] for name in node.inputs}
        if not used <= inside or later & (inside - {end}):
            raise PotvitError(f"{start} to {end} of the graph cannot be learned on its own")
        return range(first, last)

    def run(self, nodes: Iterable[int], values: Values, parameters: Parameters) -> Values:
        """Run nodes by position on the edges in ``values``; these and all edges that they made."""
        made = dict(values)
        for index in nodes:
            layer = self.layers[index]
            node = layer.node
            own = {kind: parameters[f"{node.name}/{kind}"] for kind in layer.start}
            made[node.output] = layer(own, *(made[name] for name in node.inputs))
        return made

    def learned(self) -> ir.Graph:
        """Return the graph with everything that was learned."""
        nodes = []
        for layer in self.layers:
            name = layer.node.name
            own = {kind: self.parameters[f"{name}/{kind}"] for kind in layer.start}
            nodes.append(layer.learned(own))
        return replace(self.graph, nodes=tuple(nodes))
