"""What the float network makes at the end of each stage, and how much each token matters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A piece of the float network, for any family.

    Attributes:
        edge: the graph's name for its end, a tensor [T, C] that alone is alive there.
        run: maps the float tensor at the last stage's end to the one at this end; the first stage
            takes normalized pictures [N, C, H, W], the last makes logits.
        first: what the first token's errors count for, in tokens (a class token; 1: no more than
            others).
    """

    edge: str
    run: Callable[[torch.Tensor], torch.Tensor]
    first: float = 1.0
