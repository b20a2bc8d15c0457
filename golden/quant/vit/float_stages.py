"""The stages at whose ends learned rounding compares a ViT with its integer form."""

from __future__ import annotations

from typing import Any

import torch

from golden.quant.learn.targets import Stage


def float_stages(module: Any, class_weight: float, read_weight: float) -> list[Stage]:
    """Return embedding, blocks and head of a timm ViT; the ends are the graph's residual sums.

    The class token counts for ``class_weight`` tokens, and for ``read_weight`` behind the last
    block, where nothing else is read.
    """

    def embed(x: torch.Tensor) -> torch.Tensor:
        cls = module.cls_token.expand(len(x), -1, -1)
        made: torch.Tensor = torch.cat([cls, module.patch_embed(x)], 1) + module.pos_embed
        return made

    def logits(x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = module.head(module.norm(x[:, :1]))
        return made

    last = len(module.blocks) - 1
    blocks = [
        Stage(edge=f"blocks.{i}.res2", run=block, first=read_weight if i == last else class_weight)
        for i, block in enumerate(module.blocks)
    ]
    return [
        Stage(edge="embed", run=embed, first=class_weight),
        *blocks,
        Stage(edge="logits", run=logits),
    ]
