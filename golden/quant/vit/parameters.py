"""A float vision transformer as the quantizer reads it: its layers by role, nothing else.

`golden.quant.vit.mapping` fills it from a timm module and accounts for every part of it. Tensors
are the module's own, in float32; what follows a layer exactly (LayerScale) is part of the layer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from golden.ops.gelu import Activation
from golden.ops.windows import Windows
from golden.quant.search.linear import LinearParameters


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """A linear layer and the factor per output channel behind it.

    ``weight`` [C, K], or [C, channels, patch, patch] of a patch embedding; ``bias`` [C] or None
    for zeros; ``scale`` [C] or None for ones (LayerScale).
    """

    weight: torch.Tensor
    bias: torch.Tensor | None
    scale: torch.Tensor | None = None

    def parameters(self) -> LinearParameters:
        """Return the layer with the scale folded in: exact, a product of float32 fits float64."""
        weight = self.weight.double().numpy().reshape(len(self.weight), -1)
        bias = np.zeros(len(weight)) if self.bias is None else self.bias.double().numpy()
        if self.scale is not None:
            scale = self.scale.double().numpy()
            weight, bias = weight * scale[:, None], bias * scale
        return LinearParameters(weight=weight, bias=bias)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``(x W^T + b) * scale`` of [..., K] as the float network computes it."""
        made = F.linear(x, self.weight, self.bias)
        return made if self.scale is None else made * self.scale


@dataclass(frozen=True, kw_only=True, eq=False)
class Norm:
    """A LayerNorm over channels; ``name`` is the module's, ``eps`` what it adds to the variance."""

    name: str
    weight: torch.Tensor
    bias: torch.Tensor
    eps: float

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return the normalised [..., C] as the float network computes it."""
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """A transformer block; ``qkv`` is the fused layer [3C, C], ``activation`` follows ``fc1``.

    ``windows`` is the order of tokens in which attention stays inside windows, None for attention
    over all of them; ``bias`` [heads, n, n] is then added to the logits ``q k^T / sqrt(d)``.
    """

    norm1: Norm
    qkv: Layer
    proj: Layer
    norm2: Norm
    fc1: Layer
    activation: Activation
    fc2: Layer
    heads: int
    windows: Windows | None = None
    bias: torch.Tensor | None = None


def embedded_patches(embed: Layer, images: torch.Tensor) -> torch.Tensor:
    """Return tokens [N, T, C] in rows of the grid of normalised float32 [N, channels, H, W]."""
    made = F.conv2d(images, embed.weight, embed.bias, stride=embed.weight.shape[-1])
    return made.flatten(2).transpose(1, 2)


@dataclass(frozen=True, kw_only=True, eq=False)
class Vit:
    """The whole network. ``T`` tokens, of which the first ``P`` (the prefix) see no pixels.

    Attributes:
        patch: side of a patch, pixels; ``embed`` has its weights.
        prefix: class and register tokens [P, C], before their position is added.
        position: position embedding [T, C]; zeros where a token has none.
        token: the token that the final LayerNorm reads, or None for all of them.
        head: the classifier, or None where the final LayerNorm's output is the result.
    """

    patch: int
    embed: Layer
    prefix: torch.Tensor
    position: torch.Tensor
    blocks: tuple[Block, ...]
    norm: Norm
    token: int | None
    head: Layer | None

    def patches(self, images: torch.Tensor) -> torch.Tensor:
        """Return the embedded patches [N, T - P, C] of normalised float32 [N, channels, H, W]."""
        return embedded_patches(self.embed, images)

    def embedded(self, patches: torch.Tensor) -> torch.Tensor:
        """Return the residual stream [N, T, C] in front of the first block."""
        prefix = self.prefix.expand(len(patches), -1, -1)
        return torch.cat([prefix, patches], 1) + self.position
