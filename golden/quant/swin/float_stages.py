"""The stages at whose ends learned rounding compares a Swin with its integer form."""

from __future__ import annotations

from functools import partial

import torch

from golden.graph import ir
from golden.quant.learn.targets import Stage
from golden.quant.swin.float_model import merged
from golden.quant.swin.parameters import Swin
from golden.quant.vit.float_model import block_output


def float_stages(swin: Swin) -> list[Stage]:
    """Return embedding, blocks and head of a Swin; the ends are the graph's residual sums.

    Merging belongs to the block behind it. All tokens count alike.
    """

    def embed(x: torch.Tensor) -> torch.Tensor:
        return swin.stream(swin.patches(x))

    def logits(x: torch.Tensor) -> torch.Tensor:
        return swin.head(swin.norm(x).mean(1, keepdim=True))

    def block(number: int, x: torch.Tensor) -> torch.Tensor:
        merging = swin.mergings.get(number)
        return block_output(swin.blocks[number], x if merging is None else merged(merging, x))

    blocks = [
        Stage(edge=f"blocks.{i}.res2", run=partial(block, i)) for i in range(len(swin.blocks))
    ]
    return [
        Stage(edge="embed.norm", run=embed),
        *blocks,
        Stage(edge=ir.LOGITS, run=logits),
    ]
