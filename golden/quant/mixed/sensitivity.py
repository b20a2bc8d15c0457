"""What rounding a layer's weights costs, to second order, for each width by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from golden.quant.search.weights import round_nearest

#: Pictures that a gradient is taken of at a time.
BATCH = 4


@dataclass(frozen=True, kw_only=True)
class LayerWeights:
    """Where a layer of the integer graph has its weights in the float module.

    ``parameter`` is the module's tensor, ``rows`` the layer's part of its first axis.
    """

    parameter: torch.Tensor
    rows: slice

    def of(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the layer's part of something shaped like the parameter."""
        return tensor[self.rows]


def traces(
    module: Any,
    layers: Mapping[str, LayerWeights],
    pictures: torch.Tensor,
    *,
    draws: int = 4,
    seed: int = 0,
) -> dict[str, float]:
    """Return the mean diagonal of the loss's Hessian over each layer's weights.

    The loss is the divergence of the network's own distribution from itself: its gradient is 0
    and its Hessian that of any small change's divergence, so no labels are needed. Hutchinson's
    estimate with ``draws`` vectors of signs for each batch of ``pictures`` [N, C, H, W].
    """
    parameters = list({id(x.parameter): x.parameter for x in layers.values()}.values())
    wanted = [p.requires_grad for p in parameters]
    generator = torch.Generator().manual_seed(seed)
    sums = dict.fromkeys(layers, 0.0)
    try:
        for parameter in parameters:
            parameter.requires_grad_()
        # The fused kernels of attention have no second derivative.
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
            for part in pictures.split(BATCH):
                logits = F.log_softmax(module(part), -1)
                loss = F.kl_div(logits, logits.detach(), log_target=True, reduction="sum")
                slopes = torch.autograd.grad(loss, parameters, create_graph=True)
                for _ in range(draws):
                    signs = [
                        torch.randint(0, 2, p.shape, generator=generator).to(p.dtype) * 2 - 1
                        for p in parameters
                    ]
                    found = torch.autograd.grad(slopes, parameters, signs, retain_graph=True)
                    made = {id(p): s * h for p, s, h in zip(parameters, signs, found, strict=True)}
                    for name, layer in layers.items():
                        sums[name] += float(layer.of(made[id(layer.parameter)]).sum())
    finally:
        for parameter, before in zip(parameters, wanted, strict=True):
            parameter.requires_grad_(before)
    scale = draws * len(pictures)
    return {
        name: max(total, 0.0) / scale / layers[name].of(layers[name].parameter).numel()
        for name, total in sums.items()
    }


def sensitivities(
    layers: Mapping[str, LayerWeights], trace: Mapping[str, float]
) -> dict[str, dict[int, float]]:
    """Return by layer and width: mean curvature times the squared error of rounding to it."""
    found = {}
    for name, layer in layers.items():
        weight = layer.of(layer.parameter).detach().double().numpy()
        weight = weight.reshape(len(weight), -1)
        found[name] = {
            bits: trace[name] * float(np.square(round_nearest(weight, bits).real - weight).sum())
            for bits in (8, 4)
        }
    return found
