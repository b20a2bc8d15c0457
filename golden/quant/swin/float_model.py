"""The float Swin of the calibration pictures, stage by stage, beside the integer one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from golden.catalogue.preprocess import Preprocess
from golden.execute.tokens import Gather
from golden.quant.search.linear import CHUNK, in_chunks
from golden.quant.swin.parameters import Merging, Swin
from golden.quant.vit.float_model import FloatBlocks


class FloatSwin(FloatBlocks):
    """`FloatBlocks` of a Swin; ``patches`` [N, T, C] is what the first LayerNorm reads."""

    def __init__(self, swin: Swin, preprocess: Preprocess, pixels: npt.NDArray[np.uint8]) -> None:
        self.swin = swin
        self.patches = torch.cat(
            [
                swin.patches(preprocess.normalize(pixels[i : i + CHUNK]))
                for i in range(0, len(pixels), CHUNK)
            ]
        )
        super().__init__(swin.blocks, in_chunks(swin.stream, self.patches))

    def merge(self, block: int) -> torch.Tensor:
        """Return the reduction's output in front of a block, which becomes the stream."""
        merging = self.swin.mergings[block]
        self.stream = in_chunks(lambda x: merged(merging, x), self.stream)
        return self.stream

    def logits(self) -> torch.Tensor:
        """Return the logits [N, classes] of the finished stream."""
        pooled = in_chunks(lambda x: self.swin.norm(x).mean(1), self.stream)
        return self.swin.head(pooled)


def merged(merging: Merging, x: torch.Tensor) -> torch.Tensor:
    """Return the reduction's output [N, T/4, 2C] of the stream in front of it."""
    gather = Gather(merging.order.order(), torch.device("cpu"))
    return merging.reduction(merging.norm(gather(x)))
