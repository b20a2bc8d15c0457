"""Linear layers, patch embedding and head in a form that learns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from golden.graph import ir
from golden.quant.learn import straight_through as st
from golden.quant.learn.layer import LatentWeights, Parameters, integers, powers, row
from golden.support.errors import PotvitError


class Linear:
    """``X W^T + B`` and what follows it: a requantizer, the head's alignment, or nothing.

    ``zero`` is the offset of the input's GELU table, which the bias makes up for whatever the
    weights become; ``unit`` [C] is one last place of the output in accumulators. With ``groups``
    the output's exponents have gradients, one per group of channels; with ``weight_steps`` those
    of the weights.
    """

    def __init__(
        self,
        node: ir.Linear | ir.Head,
        zero: int,
        unit: npt.NDArray[Any],
        wanted: torch.Tensor | None,
        device: torch.device,
        *,
        groups: int = 0,
        weight_steps: bool = False,
    ) -> None:
        self.node, self._zero = node, zero
        self._weights = LatentWeights(node, wanted, device)
        offset = zero * node.weight.astype(np.int64).sum(1)
        self._bias = row(node.bias.astype(np.int64) - offset, device)
        self._unit = row(unit, device)
        self._scale: torch.Tensor | None = None
        if isinstance(node, ir.Head):
            self._scale = row(powers(node.la), device)
        elif node.shift is not None:
            self._scale = row(powers(-node.shift), device)
        self.start: Parameters = {
            self._weights.kind: self._weights.start,
            "bias": torch.zeros_like(self._bias),
        }
        if groups:
            self.start["step"] = torch.zeros(groups, device=device)
        if weight_steps:
            self.start["weight_step"] = torch.zeros(len(node.weight), device=device)

    def _bias_of(self, p: Parameters) -> torch.Tensor:
        return st.rounded(self._bias + p["bias"] * self._unit, 32)

    def __call__(self, p: Parameters, *inputs: torch.Tensor) -> torch.Tensor:
        """Return int8, logits or accumulators."""
        x = inputs[0] + self._zero if self._zero else inputs[0]
        acc = F.linear(x, self._weights(p), self._bias_of(p))
        if self._scale is None:
            return acc
        scaled = acc * self._scale
        if isinstance(self.node, ir.Head):
            return scaled
        step = p.get("step")
        if step is not None:
            step = step.repeat_interleave(scaled.shape[-1] // len(step))
        return st.narrow(scaled, step=step)

    def learned(self, p: Parameters) -> ir.Node:
        """Return the node; ``PotvitError`` where a bias has outgrown 32 bits."""
        weight = self._weights.learned(p)
        bias = integers(self._bias_of(p), np.int64) + self._zero * weight.astype(np.int64).sum(1)
        if np.abs(bias).max() >= 1 << 31:
            raise PotvitError(f"{self.node.name}: a learned bias exceeds 32 bits: learn slower")
        return replace(self.node, weight=weight, bias=bias.astype(np.int32))


class PatchEmbed:
    """Products with patches of the image; a class token has none."""

    def __init__(
        self,
        node: ir.PatchEmbed,
        unit: npt.NDArray[Any],
        wanted: torch.Tensor | None,
        device: torch.device,
    ) -> None:
        self.node = node
        self._weights = LatentWeights(node, wanted, device)
        self.start: Parameters = {self._weights.kind: self._weights.start}
        self._unit = row(unit, device)
        self._bias: torch.Tensor | None = None
        if node.bias is not None:
            self._bias = row(node.bias, device)
            self.start["bias"] = torch.zeros_like(self._bias)

    def _bias_of(self, p: Parameters) -> torch.Tensor | None:
        if self._bias is None:
            return None
        return st.rounded(self._bias + p["bias"] * self._unit, 32)

    def __call__(self, p: Parameters, *inputs: torch.Tensor) -> torch.Tensor:
        """Return the accumulators [B, T, C] of images [B, height, width, channels]."""
        b, height, width, channels = inputs[0].shape
        n = self.node.patch
        grid = (inputs[0] - 128).view(b, height // n, n, width // n, n, channels)
        x = grid.transpose(2, 3).reshape(b, -1, n * n * channels)
        acc = F.linear(x, self._weights(p), self._bias_of(p))
        return F.pad(acc, (0, 0, self.node.prefix, 0))

    def learned(self, p: Parameters) -> ir.Node:
        """Return the node."""
        made, bias = replace(self.node, weight=self._weights.learned(p)), self._bias_of(p)
        return made if bias is None else replace(made, bias=integers(bias, np.int32))
