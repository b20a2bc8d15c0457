"""The float network of the calibration pictures, stage by stage, beside the integer one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from golden.catalogue.preprocess import Preprocess
from golden.execute.tokens import Gather
from golden.quant.search.linear import CHUNK, in_chunks
from golden.quant.vit.activations import activate
from golden.quant.vit.parameters import Block, Vit

_CPU = torch.device("cpu")


class FloatBlocks:
    """fp32 activations of some pictures, computed block by block on one thread.

    ``stream`` [N, T, C] is the residual after the last stage that ran. Attention's tensors are in
    the block's window order, [N, W*n, C], where it has windows.
    """

    def __init__(self, blocks: Sequence[Block], stream: torch.Tensor) -> None:
        self.blocks = blocks
        self.stream = stream

    def qkv(self, block: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return q (before 1/sqrt(d)), k and v of a block, each [N, T, C]."""
        part = self.blocks[block]
        made = in_chunks(lambda x: part.qkv(ordered(part, part.norm1(x))), self.stream)
        q, k, v = made.chunk(3, -1)
        return q, k, v

    def attend(self, block: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Return the projection's output [N, T, C] and add it to the stream."""
        part = self.blocks[block]
        made = in_chunks(lambda *x: attended(part, *x), q, k, v)
        self.stream = self.stream + made
        return made

    def hidden(self, block: int) -> torch.Tensor:
        """Return fc1's output [N, T, hidden]."""
        part = self.blocks[block]
        return in_chunks(lambda x: part.fc1(part.norm2(x)), self.stream)

    def feed_forward(self, block: int, hidden: torch.Tensor) -> torch.Tensor:
        """Return fc2's output [N, T, C] and add it to the stream."""
        part = self.blocks[block]
        made = in_chunks(lambda x: part.fc2(activate(part.activation, x)), hidden)
        self.stream = self.stream + made
        return made


class FloatModel(FloatBlocks):
    """`FloatBlocks` of a ViT, from its pictures to its logits."""

    def __init__(self, vit: Vit, preprocess: Preprocess, pixels: npt.NDArray[np.uint8]) -> None:
        self.vit = vit
        self.patches = torch.cat(
            [
                vit.patches(preprocess.normalize(pixels[i : i + CHUNK]))
                for i in range(0, len(pixels), CHUNK)
            ]
        )
        super().__init__(vit.blocks, vit.embedded(self.patches))

    def logits(self) -> torch.Tensor:
        """Return the logits [N, classes] of the finished stream's selected token.

        Only for a network with a classifier.
        """
        head, token = self.vit.head, self.vit.token
        assert head is not None
        assert token is not None
        return head(self.vit.norm(self.stream[:, token : token + 1]))[:, 0]


def attended(block: Block, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Return the projection's output [N, T, C] of q, k and v in the block's order."""
    weights = F.softmax(float_logits(block, q, k), -1)
    out = (weights @ split_heads(block, v)).transpose(-2, -3).reshape(q.shape)
    return block.proj(back(block, out))


def block_output(block: Block, x: torch.Tensor) -> torch.Tensor:
    """Return the stream [N, T, C] behind a block from the stream in front of it."""
    q, k, v = block.qkv(ordered(block, block.norm1(x))).chunk(3, -1)
    x = x + attended(block, q, k, v)
    return x + block.fc2(activate(block.activation, block.fc1(block.norm2(x))))


def ordered(block: Block, x: torch.Tensor) -> torch.Tensor:
    """Return tokens [N, T, C] in the block's window order, padded ones zero."""
    return x if block.windows is None else Gather(block.windows.order(), _CPU)(x)


def back(block: Block, x: torch.Tensor) -> torch.Tensor:
    """Return tokens in the block's window order in rows of the grid again."""
    return x if block.windows is None else Gather(block.windows.places(), _CPU)(x)


def split_heads(block: Block, x: torch.Tensor) -> torch.Tensor:
    """[N, T, C] to [N, H, T, d], or [N, W*n, C] to [N, W, H, n, d] where the block has windows."""
    if block.windows is not None:
        x = x.unflatten(1, (block.windows.count, block.windows.size))
    return x.unflatten(-1, (block.heads, -1)).transpose(-2, -3)


def float_logits(block: Block, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """Return ``q k^T / sqrt(d)`` with bias, -inf at masked keys: [N, H, T, T], [N, W, H, n, n]."""
    query, key = split_heads(block, q), split_heads(block, k)
    logits = query * query.shape[-1] ** -0.5 @ key.transpose(-1, -2)
    if block.bias is not None:
        logits = logits + block.bias
    if block.windows is not None and block.windows.masks:
        masked = torch.tensor(block.windows.masked())[:, None]
        logits = logits.masked_fill(masked, -torch.inf)
    return logits
