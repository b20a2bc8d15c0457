"""The float network of the calibration pictures, stage by stage, beside the integer one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from golden.catalogue.preprocess import Preprocess
from golden.quant.search.linear import CHUNK, in_chunks
from golden.quant.vit.activations import activate
from golden.quant.vit.parameters import Vit


class FloatModel:
    """fp32 activations of some pictures, computed block by block on one thread.

    ``stream`` [N, T, C] is the residual after the last stage that ran.
    """

    def __init__(self, vit: Vit, preprocess: Preprocess, pixels: npt.NDArray[np.uint8]) -> None:
        self.vit = vit
        self.patches = torch.cat(
            [
                vit.patches(preprocess.normalize(pixels[i : i + CHUNK]))
                for i in range(0, len(pixels), CHUNK)
            ]
        )
        self.stream = vit.embedded(self.patches)

    def qkv(self, block: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return q (before 1/sqrt(d)), k and v of a block, each [N, T, C]."""
        part = self.vit.blocks[block]
        made = in_chunks(lambda x: part.qkv(part.norm1(x)), self.stream)
        q, k, v = made.chunk(3, -1)
        return q, k, v

    def attend(self, block: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Return the projection's output [N, T, C] and add it to the stream."""
        part = self.vit.blocks[block]

        def step(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            qh, kh, vh = (x.unflatten(-1, (part.heads, -1)).transpose(1, 2) for x in (q, k, v))
            weights = F.softmax(qh * qh.shape[-1] ** -0.5 @ kh.transpose(-1, -2), -1)
            return part.proj((weights @ vh).transpose(1, 2).reshape(q.shape))

        made = in_chunks(step, q, k, v)
        self.stream = self.stream + made
        return made

    def hidden(self, block: int) -> torch.Tensor:
        """Return fc1's output [N, T, hidden]."""
        part = self.vit.blocks[block]
        return in_chunks(lambda x: part.fc1(part.norm2(x)), self.stream)

    def feed_forward(self, block: int, hidden: torch.Tensor) -> torch.Tensor:
        """Return fc2's output [N, T, C] and add it to the stream."""
        part = self.vit.blocks[block]
        made = in_chunks(lambda x: part.fc2(activate(part.activation, x)), hidden)
        self.stream = self.stream + made
        return made

    def logits(self) -> torch.Tensor:
        """Return the logits [N, classes] of the finished stream's selected token.

        Only for a network with a classifier.
        """
        head, token = self.vit.head, self.vit.token
        assert head is not None
        assert token is not None
        return head(self.vit.norm(self.stream[:, token : token + 1]))[:, 0]
