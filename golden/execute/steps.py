"""Nodes of the integer graph as functions on batched torch tensors, widths proven first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from golden.execute.attention import AttnValue, Scores
from golden.execute.codes import Codes
from golden.execute.gemm import ACC_BITS, Carrier, Gemm, require_bits
from golden.execute.layernorm import LayerNorm
from golden.execute.narrow import Requantize, ResidualAdd
from golden.execute.tokens import Gather, Pool
from golden.graph import ir
from golden.support.errors import PotvitError

Array = npt.NDArray[Any]
Step = Callable[..., torch.Tensor]


class StepBuilder:
    """Prepares nodes in execution order; it remembers what later nodes must know of earlier ones.

    Those are the accumulators' worst cases (for the residual adders) and the softmax rules (for
    the sums of a row's weights). Tensors carry a batch axis in front: int8, uint8 codes, int32
    accumulators.

    Attributes:
        bounds: int64 [C] by edge, the largest magnitudes of each accumulator made so far.
    """

    def __init__(self, device: torch.device, carrier: Carrier | None = None) -> None:
        self.device = device
        self._carrier = carrier
        self.bounds: dict[str, npt.NDArray[np.int64]] = {}
        self._softmaxes: dict[str, ir.Softmax] = {}

    def prepare(self, node: ir.Node, shape: Sequence[int]) -> Step:
        """Turn a node into a function of its batched input tensors.

        ``shape`` is that of its first input without the batch. Raises ``PotvitError`` where a
        worst case exceeds the hardware's widths.
        """
        width = shape[-1]
        match node:
            case ir.PatchEmbed():
                return patch_embed(self._gemm(node, node.bias), node.patch, node.prefix)
            case ir.Linear():
                return _linear(self._gemm(node, node.bias), node.shift, self.device)
            case ir.Scores():
                return Scores(node, width, self.device)
            case ir.Softmax():
                self._softmaxes[node.output] = node
                return Codes(node, width, self.device)
            case ir.AttnValue():
                softmax = self._softmaxes.get(node.inputs[0])
                if softmax is None or softmax.fmt is not node.fmt:
                    raise PotvitError(f"{node.name}: its codes come in another format")
                return AttnValue(node, softmax.rule, width, self.device)
            case ir.Gelu():
                table = torch.tensor(node.table, dtype=torch.int8, device=self.device)
                return lambda x: _lookup(table, x)
            case ir.Residual():
                return self._residual(node, width)
            case ir.LayerNorm():
                return self._layer_norm(node)
            case ir.Select():
                index = node.index
                return lambda x: x[:, index : index + 1]
            case ir.Merge():
                return Gather(node.merge.order(), self.device)
            case ir.Pool():
                return Pool(node, shape[0], self.device)
            case ir.Head():
                return self._head(node)
        raise PotvitError(f"{node.name}: no executor for a {type(node).__name__} node")

    def _gemm(self, node: ir.PatchEmbed | ir.Linear | ir.Head, bias: Array | None) -> Gemm:
        gemm = Gemm(node.name, node.weight, bias, self.device, self._carrier)
        self.bounds[node.output] = gemm.bound
        return gemm

    def _layer_norm(self, node: ir.LayerNorm) -> Step:
        norm = LayerNorm(node, self.device)
        if node.windows is None:
            return norm
        order = Gather(node.windows.order(), self.device)
        return lambda x: order(norm(x))

    def residual_add(self, node: ir.Residual, channels: int) -> ResidualAdd:
        """The addition of a node whose accumulator is prepared; its widths are proven."""
        old_bound = np.full(channels, 128, np.int64)
        if node.constant is not None:
            old_bound = np.abs(node.constant.astype(np.int64)).max(0)
        elif len(node.inputs) == 1:
            old_bound = np.zeros(channels, np.int64)
        bound = self.bounds[node.inputs[0]]
        return ResidualAdd(node.name, bound, old_bound, node.la, node.lo, node.shift, self.device)

    def _residual(self, node: ir.Residual, channels: int) -> Step:
        add = self.residual_add(node, channels)
        if node.windows is not None:
            places = Gather(node.windows.places(), self.device)
            return lambda acc, old: add(places(acc), old)
        if len(node.inputs) == 2:
            return add
        constant = np.zeros(1) if node.constant is None else node.constant
        old = torch.tensor(constant, dtype=torch.int32, device=self.device)
        return lambda acc: add(acc, old)

    def _head(self, node: ir.Head) -> Step:
        gemm = self._gemm(node, node.bias)
        la = node.la.astype(np.int64)
        require_bits(f"{node.name}: logits", int((gemm.bound << la).max()), ACC_BITS)
        align = torch.tensor(la, dtype=torch.int32, device=self.device)
        return lambda x: _rows(gemm, x).bitwise_left_shift_(align)


def _rows(gemm: Step, x: torch.Tensor) -> torch.Tensor:
    """A product over the last axis of [..., K]."""
    return gemm(x.reshape(-1, x.shape[-1])).view(*x.shape[:-1], -1)


def patch_embed(gemm: Step, patch: int, prefix: int) -> Step:
    """Accumulators of all tokens from uint8 images, by ``gemm`` of int8 rows [N, K]."""

    def step(images: torch.Tensor) -> torch.Tensor:
        b, height, width, c = images.shape
        # uint8 p and int8 p - 128 differ in the top bit only.
        centred = images.bitwise_xor(128).view(torch.int8)
        grid = centred.view(b, height // patch, patch, width // patch, patch, c)
        acc = _rows(gemm, grid.transpose(2, 3).reshape(b, -1, patch * patch * c))
        return torch.nn.functional.pad(acc, (0, 0, prefix, 0))

    return step


def _linear(gemm: Gemm, shift: Array | None, device: torch.device) -> Step:
    if shift is None:
        return lambda x: _rows(gemm, x)
    narrow = Requantize(gemm.bound, shift, device)
    return lambda x: narrow(_rows(gemm, x))


def _lookup(table: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    index = x.to(torch.int32).add_(128)
    return table.index_select(0, index.view(-1)).view(x.shape)
