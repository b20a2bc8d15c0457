"""A float Swin as the quantizer reads it: its layers by role, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from golden.ops.windows import PatchMerge
from golden.quant.search.linear import LinearParameters
from golden.quant.vit.parameters import Block, Layer, Norm, embedded_patches


@dataclass(frozen=True, kw_only=True, eq=False)
class Merging:
    """Patch merging in front of a block: four neighbours, LayerNorm over them, linear layer."""

    order: PatchMerge
    norm: Norm
    reduction: Layer


@dataclass(frozen=True, kw_only=True, eq=False)
class Swin:
    """The whole network; tokens lie in rows of a grid, blocks are numbered through the stages.

    Attributes:
        patch: side of a patch, pixels; ``embed`` has its weights.
        stream: the LayerNorm behind the patch embedding, whose output is the residual stream.
        blocks: each with its windows and relative position bias.
        mergings: by the number of the block that they stand in front of.
        tokens: how many there are in the end, whose mean is read.
        head: the classifier.
    """

    patch: int
    embed: Layer
    stream: Norm
    blocks: tuple[Block, ...]
    mergings: Mapping[int, Merging]
    norm: Norm
    tokens: int
    head: Layer

    def patches(self, images: torch.Tensor) -> torch.Tensor:
        """Return the embedded patches [N, T, C] of normalised float32 [N, channels, H, W]."""
        return embedded_patches(self.embed, images)

    def summed_head(self) -> LinearParameters:
        """Return the classifier that reads the tokens' sum instead of their mean: W/T."""
        head = self.head.parameters()
        return LinearParameters(weight=head.weight / self.tokens, bias=head.bias)
