"""The float network of the calibration pictures, stage by stage, beside the integer one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from golden.catalogue.preprocess import Preprocess
from golden.quant.search.linear import CHUNK, in_chunks


class FloatModel:
    """fp32 activations of some pictures, computed block by block on one thread.

    ``stream`` [N, T, C] is the residual after the last stage that ran.
    """

    def __init__(self, module: Any, preprocess: Preprocess, pixels: npt.NDArray[np.uint8]) -> None:
        self.module = module
        self.patches = torch.cat(
            [
                module.patch_embed(preprocess.normalize(pixels[i : i + CHUNK]))
                for i in range(0, len(pixels), CHUNK)
            ]
        )
        cls = module.cls_token.expand(len(pixels), -1, -1)
        self.stream = torch.cat([cls, self.patches], 1) + module.pos_embed

    def qkv(self, block: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return q (before 1/sqrt(d)), k and v of a block, each [N, T, C]."""
        part = self.module.blocks[block]
        made = in_chunks(lambda x: part.attn.qkv(part.norm1(x)), self.stream)
        q, k, v = made.chunk(3, -1)
        return q, k, v

    def attend(self, block: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Return the projection's output [N, T, C] and add it to the stream."""
        attention = self.module.blocks[block].attn
        heads = attention.num_heads

        def step(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            qh, kh, vh = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
            weights = F.softmax(qh * attention.scale @ kh.transpose(-1, -2), -1)
            out: torch.Tensor = attention.proj((weights @ vh).transpose(1, 2).reshape(q.shape))
            return out

        made = in_chunks(step, q, k, v)
        self.stream = self.stream + made
        return made

    def hidden(self, block: int) -> torch.Tensor:
        """Return fc1's output [N, T, hidden]."""
        part = self.module.blocks[block]
        return in_chunks(lambda x: part.mlp.fc1(part.norm2(x)), self.stream)

    def feed_forward(self, block: int, hidden: torch.Tensor) -> torch.Tensor:
        """Return fc2's output [N, T, C] and add it to the stream."""
        mlp = self.module.blocks[block].mlp
        made = in_chunks(lambda x: mlp.fc2(mlp.act(x)), hidden)
        self.stream = self.stream + made
        return made

    def logits(self) -> torch.Tensor:
        """Return the logits [N, classes] of the finished stream's class token."""
        logits: torch.Tensor = self.module.head(self.module.norm(self.stream[:, :1]))[:, 0]
        return logits
