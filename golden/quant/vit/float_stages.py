"""The stages at whose ends learned rounding compares a ViT with its integer form."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch

from golden.quant.learn.targets import Stage
from golden.quant.vit.parameters import Vit


def float_stages(
    vit: Vit,
    blocks: Iterable[Callable[[torch.Tensor], torch.Tensor]],
    class_weight: float,
    read_weight: float,
) -> list[Stage]:
    """Return embedding, blocks and head of a ViT; the ends are the graph's residual sums.

    ``blocks`` are the float blocks of the mapped ``vit``, which has a classifier. The class token
    counts for ``class_weight`` tokens, and for ``read_weight`` behind the last block, where
    nothing else is read.
    """
    head, token = vit.head, vit.token
    assert head is not None
    assert token is not None

    def logits(x: torch.Tensor) -> torch.Tensor:
        return head(vit.norm(x[:, token : token + 1]))

    last = len(vit.blocks) - 1
    middle = [
        Stage(edge=f"blocks.{i}.res2", run=block, first=read_weight if i == last else class_weight)
        for i, block in enumerate(blocks)
    ]
    return [
        Stage(edge="embed", run=lambda x: vit.embedded(vit.patches(x)), first=class_weight),
        *middle,
        Stage(edge="logits", run=logits),
    ]
