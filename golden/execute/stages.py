"""What runs as one: a node's own step, or several nodes in one kernel call.

A kernel that fuses nodes does not make the edges between them; where one of those is asked for, the
nodes' own steps run instead.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from golden.execute.attention import AttnValue
from golden.execute.kernel.attention import AttentionKernel
from golden.execute.kernel.library import Library
from golden.execute.kernel.linear import LinearKernel
from golden.execute.kernel.norm import NormKernel
from golden.execute.narrow import Requantize
from golden.execute.steps import Step, StepBuilder, patch_embed
from golden.execute.tokens import Gather
from golden.graph import ir

Values = Mapping[str, torch.Tensor]
CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Some nodes, in order, with their own steps; ``fused`` makes the last one's output at once."""

    nodes: tuple[ir.Node, ...]
    steps: tuple[Step, ...]
    fused: Step | None = None

    @property
    def output(self) -> str:
        """The edge that it always makes."""
        return self.nodes[-1].output

    @cached_property
    def inner(self) -> set[str]:
        """The edges that ``fused`` does not make."""
        return {node.output for node in self.nodes[:-1]}

    @cached_property
    def inputs(self) -> list[str]:
        """The edges that come from outside, in order."""
        return [name for node in self.nodes for name in node.inputs if name not in self.inner]

    def run(self, values: Values, keep: Collection[str]) -> dict[str, torch.Tensor]:
        """Return the edges made from ``values``: the last one, and all that are in ``keep``."""
        if self.fused is not None and self.inner.isdisjoint(keep):
            return {self.output: self.fused(*(values[name] for name in self.inputs))}
        made: dict[str, torch.Tensor] = {}
        for node, step in zip(self.nodes, self.steps, strict=True):
            inputs = (made[name] if name in made else values[name] for name in node.inputs)
            made[node.output] = step(*inputs)
        return made


def make_stages(graph: ir.Graph, builder: StepBuilder, library: Library | None) -> list[Stage]:
    """The stages of ``graph`` in execution order; every width is proven, with a kernel or without.

    Raises ``PotvitError`` where a worst case exceeds the hardware's widths.
    """
    steps = [builder.prepare(node, graph.tensors[node.inputs[0]].shape) for node in graph.nodes]
    if library is None:
        return [
            Stage(nodes=(node,), steps=(step,))
            for node, step in zip(graph.nodes, steps, strict=True)
        ]
    return _Fusion(graph, steps, builder, library).stages()


class _Fusion:
    """Finds the nodes that a kernel does together and prepares the kernels."""

    def __init__(
        self, graph: ir.Graph, steps: Sequence[Step], builder: StepBuilder, library: Library
    ) -> None:
        self._graph, self._builder, self._library = graph, builder, library
        self._steps = {node.output: step for node, step in zip(graph.nodes, steps, strict=True)}
        self._makers = {node.output: node for node in graph.nodes}
        read = [name for node in graph.nodes for name in node.inputs]
        self._single = {name for name in read if read.count(name) == 1} - {graph.output}

    def stages(self) -> list[Stage]:
        """All stages; nodes that are done with a later one stand at its place."""
        found: list[Stage] = []
        taken: set[str] = set()
        for node in reversed(self._graph.nodes):
            if node.output in taken:
                continue
            nodes, fused = self._together(node)
            taken |= {one.output for one in nodes}
            steps = tuple(self._steps[one.output] for one in nodes)
            found.append(Stage(nodes=nodes, steps=steps, fused=fused))
        return found[::-1]

    def _together(self, node: ir.Node) -> tuple[tuple[ir.Node, ...], Step | None]:
        """The nodes that end in ``node`` and run as one, and how."""
        before = self._before(node)
        match node, before:
            case ir.AttnValue(), ir.Softmax():
                scores = self._before(before)
                if isinstance(scores, ir.Scores) and (step := self._attend(scores, before, node)):
                    return (scores, before, node), step
            case ir.Gelu(), ir.Linear() if step := self._linear(before, node.table):
                return (before, node), step
            case ir.Residual(windows=None), ir.Linear() if step := self._add(before, node):
                return (before, node), step
        return (node,), self._alone(node)

    def _before(self, node: ir.Node) -> ir.Node | None:
        """The maker of the first input, if nobody else reads that."""
        name = node.inputs[0]
        return self._makers.get(name) if name in self._single else None

    def _alone(self, node: ir.Node) -> Step | None:
        match node:
            case ir.PatchEmbed():
                product = LinearKernel(self._library, node.weight, node.bias)
                return patch_embed(product, node.patch, node.prefix)
            case ir.Linear():
                return self._linear(node)
            case ir.LayerNorm():
                norm = NormKernel(self._library, node)
                if node.windows is None:
                    return norm
                order = Gather(node.windows.order(), CPU)
                return lambda x: order(norm(x))
        return None

    def _linear(self, node: ir.Linear, table: np.ndarray | None = None) -> Step | None:
        narrow = None
        if node.shift is not None:
            narrow = Requantize(self._builder.bounds[node.output], node.shift, CPU)
            if not LinearKernel.fits(narrow):
                return None
        elif table is not None:
            return None
        return LinearKernel(self._library, node.weight, node.bias, narrow=narrow, table=table)

    def _add(self, node: ir.Linear, residual: ir.Residual) -> Step | None:
        if node.shift is not None or residual.constant is not None:
            return None
        add = self._builder.residual_add(residual, len(residual.la))
        if not LinearKernel.fits(add.round):
            return None
        return LinearKernel(self._library, node.weight, node.bias, add=add)

    def _attend(self, scores: ir.Scores, softmax: ir.Softmax, value: ir.AttnValue) -> Step | None:
        step = self._steps[value.output]
        assert isinstance(step, AttnValue)
        shape = self._graph.tensors[scores.inputs[0]].shape
        if not AttentionKernel.fits(scores, softmax, step.round, shape[-1]):
            return None
        return AttentionKernel(self._library, scores, softmax, step.round, shape)
