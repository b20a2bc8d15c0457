"""Other exponents for the edges and weights of a graph: every shift follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from golden.graph import ir
from golden.ops.gelu import Activation, Gelu
from golden.ops.softmax import LUT_BITS
from golden.support.errors import PotvitError

Ints = npt.NDArray[Any]
#: Shifts are signed 6-bit numbers, alignments unsigned 5-bit ones.
SHIFTS, ALIGNMENTS = range(-32, 32), range(32)


def moved(
    graph: ir.Graph,
    edges: Mapping[str, Ints],
    weights: Mapping[str, Ints],
    function: Activation = Activation.GELU,
) -> ir.Graph:
    """Return ``graph`` with exponents moved, its integers made anew where they change.

    ``edges`` maps an edge to how far its exponents move, int [G] for equal groups of channels or
    heads, ``weights`` a linear layer to the moves [C] of its weights' exponents. Real numbers
    stay: biases are rounded at their new exponents, weights saturate, a GELU table of
    ``function`` is looked up anew with its offset. What may move is what
    `LearnedNetwork` gives a gradient; the residual stream, pixels and logits stay.

    Raises:
        PotvitError: a shift, an alignment or a logit's exponent would leave what hardware holds.
    """
    return _Mover(graph, edges, weights, function).graph()


class _Mover:
    """Walks a graph in execution order; ``_zeros`` are offsets of GELU tables, old and new."""

    def __init__(
        self,
        graph: ir.Graph,
        edges: Mapping[str, Ints],
        weights: Mapping[str, Ints],
        function: Activation,
    ) -> None:
        self._graph, self._weights, self._function = graph, weights, function
        self._zeros: dict[str, tuple[int, int]] = {}
        self._moves: dict[str, Ints] = {}
        for name, tensor in graph.tensors.items():
            move = np.asarray(edges.get(name, [0]), np.int32)
            self._moves[name] = np.repeat(move, len(tensor.exponent) // len(move))

    def graph(self) -> ir.Graph:
        nodes = tuple(self._node(node) for node in self._graph.nodes)
        tensors = {
            name: replace(tensor, exponent=(tensor.exponent + self._moves[name]).astype(np.int32))
            for name, tensor in self._graph.tensors.items()
        }
        return replace(self._graph, nodes=nodes, tensors=tensors)

    def _node(self, node: ir.Node) -> ir.Node:
        move = self._moves[node.output]
        match node:
            case ir.Linear():
                return self._linear(node)
            case ir.Scores():
                return self._scores(node)
            case ir.Softmax():
                exponents = node.logit_exp + self._moves[node.inputs[0]]
                _require(node, exponents, range(-LUT_BITS, 1), "a logit's exponent")
                return replace(node, logit_exp=exponents)
            case ir.AttnValue():
                shift = node.shift + move - self._heads(node.inputs[1], node.heads)
                point = 0 if node.fmt is None else node.fmt.fraction_bits
                _require(node, shift + point, SHIFTS, "a shift")
                return replace(node, shift=shift)
            case ir.Gelu():
                return self._gelu(node)
            case ir.Residual():
                return self._residual(node)
            case ir.LayerNorm() if len(move) == 1:
                _require(node, node.shift + move, range(64), "a shift")
                return replace(node, shift=int(node.shift + move[0]))
        return node

    def _heads(self, edge: str, heads: int) -> Ints:
        """Moves of an edge [T, C] whose heads have an exponent each, by head."""
        moves = self._moves[edge]
        return moves[:: len(moves) // heads]

    def _linear(self, node: ir.Linear) -> ir.Linear:
        source = int(self._moves[node.inputs[0]][0])
        own = np.asarray(self._weights.get(node.name, np.zeros(len(node.weight))), np.int32)
        old, new = self._zeros.get(node.inputs[0], (0, 0))
        limit = 1 << (node.bits - 1)
        scaled = np.ldexp(node.weight.astype(np.float64), -own[:, None])
        weight = np.clip(np.floor(scaled + 0.5), -limit, limit - 1).astype(np.int64)
        real = node.bias.astype(np.int64) - old * node.weight.astype(np.int64).sum(1)
        bias = np.floor(np.ldexp(real.astype(np.float64), -(source + own)) + 0.5)
        bias = bias.astype(np.int64) + new * weight.sum(1)
        if np.abs(bias).max() >= 1 << 31:
            raise PotvitError(f"{node.name}: a bias exceeds 32 bits at its new exponent")
        shift = node.shift
        if shift is None:
            self._moves[node.output] = source + own
        else:
            shift = (shift + self._moves[node.output] - source - own).astype(np.int32)
            _require(node, shift, SHIFTS, "a shift")
        return replace(
            node,
            weight=weight.astype(np.int8),
            bias=bias.astype(np.int32),
            weight_exp=(node.weight_exp + own).astype(np.int32),
            shift=shift,
        )

    def _scores(self, node: ir.Scores) -> ir.Scores:
        products = sum(self._heads(edge, node.heads) for edge in node.inputs)
        shift = node.shift + self._moves[node.output] - products
        _require(node, shift, SHIFTS, "a shift")
        bias_shift = node.bias_shift
        if bias_shift is not None:  # the bias keeps its exponent
            bias_shift = bias_shift - products
            _require(node, bias_shift, ALIGNMENTS, "a bias's shift")
        return replace(node, shift=shift, bias_shift=bias_shift)

    def _gelu(self, node: ir.Gelu) -> ir.Gelu:
        source, made = (int(self._moves[edge][0]) for edge in (*node.inputs, node.output))
        zero, table = node.zero, node.table
        if source or made:
            tensors = self._graph.tensors
            in_exp = int(tensors[node.inputs[0]].exponent[0]) + source
            out_exp = int(tensors[node.output].exponent[0]) + made
            limit = 1 << (node.out_bits - 1)
            unit = Gelu(in_exp=in_exp, out_exp=out_exp, function=self._function, bits=node.out_bits)
            # A least level that saturates here needs no offset.
            zero = max(0, int(unit.table().min()) + limit)
            table = replace(unit, zero=zero).table()
        self._zeros[node.output] = node.zero, zero
        return replace(node, table=table, zero=zero)

    def _residual(self, node: ir.Residual) -> ir.Residual:
        made = self._graph.tensors[node.output].exponent
        fine = made - node.shift
        acc, old = fine + node.la + self._moves[node.inputs[0]], fine + node.lo
        if node.constant is None and len(node.inputs) == 1:
            old = acc
        fine = np.minimum(acc, old)
        _require(node, np.concatenate([acc - fine, old - fine]), ALIGNMENTS, "an alignment")
        _require(node, made - fine, SHIFTS, "a shift")
        la, lo, shift = (x.astype(np.int32) for x in (acc - fine, old - fine, made - fine))
        return replace(node, la=la, lo=lo, shift=shift)


def _require(node: ir.Node, values: Ints, allowed: range, what: str) -> None:
    if values.min() < allowed.start or values.max() >= allowed.stop:
        raise PotvitError(f"{node.name}: {what} would leave {allowed.start}..{allowed.stop - 1}")
