"""The float Swin that the integer one stands for: every fold applied, nothing rounded."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from golden.catalogue.preprocess import Preprocess
from golden.execute.reference import patches
from golden.execute.tokens import Gather
from golden.ops.softmax import ExpForm
from golden.quant.search.linear import LinearParameters
from golden.quant.swin.parameters import Swin
from golden.quant.vit.activations import activate
from golden.quant.vit.attention import query_scale
from golden.quant.vit.embedding import folded_patches
from golden.quant.vit.fidelity import Pixels, linear, norm, require_equal
from golden.quant.vit.float_model import back, ordered, split_heads
from golden.quant.vit.parameters import Block
from golden.quant.vit.scores import LOG2_E


def require_same(swin: Swin, module: Any, preprocess: Preprocess) -> None:
    """Compare ``swin`` with its timm module: see `golden.quant.vit.fidelity.require_equal`."""

    def mapped(pixels: Pixels, eps: bool) -> torch.Tensor:
        return forward(swin, preprocess, pixels, eps=eps)

    require_equal(module, preprocess, mapped, swin.norm.eps)


def forward(swin: Swin, preprocess: Preprocess, pixels: Pixels, *, eps: bool) -> torch.Tensor:
    """Return the logits [N, classes] of uint8 pixels [N, H, W, C] in float32.

    The folds are those of the integer network: pixels as they are, less 128; queries times
    log2(e)/sqrt(d) and biases times log2(e) in front of a base-2 softmax; masks as exclusions;
    the classifier on the tokens' sum. ``eps=False`` leaves eps out of every LayerNorm.
    """
    rows = np.stack([patches(image, swin.patch) for image in pixels])
    embed = folded_patches(swin.embed, preprocess)
    stream = norm(swin.stream, _apply(embed, torch.from_numpy(rows).float()), eps)
    for number, block in enumerate(swin.blocks):
        merging = swin.mergings.get(number)
        if merging is not None:
            merged = Gather(merging.order.order(), torch.device("cpu"))(stream)
            stream = linear(merging.reduction, norm(merging.norm, merged, eps))
        stream = stream + _attention(block, norm(block.norm1, stream, eps))
        hidden = linear(block.fc1, norm(block.norm2, stream, eps))
        stream = stream + linear(block.fc2, activate(block.activation, hidden))
    return _apply(swin.summed_head(), norm(swin.norm, stream, eps).sum(1))


def _apply(layer: LinearParameters, x: torch.Tensor) -> torch.Tensor:
    weight, bias = (torch.from_numpy(a).float() for a in (layer.weight, layer.bias))
    return F.linear(x, weight, bias)


def _attention(block: Block, x: torch.Tensor) -> torch.Tensor:
    """The attention branch of LayerNorm's output, queries in base-2 units."""
    qkv = block.qkv.parameters()
    channels = len(qkv.weight) // 3
    factor, power = query_scale(channels // block.heads, ExpForm.BASE2)
    scale = np.repeat([factor, 1.0, 1.0], channels)
    scaled = LinearParameters(weight=qkv.weight * scale[:, None], bias=qkv.bias * scale)
    made = _apply(scaled, ordered(block, x))
    q, k, v = (split_heads(block, part) for part in made.chunk(3, -1))
    logits = q @ k.transpose(-1, -2) * 2.0**-power
    if block.bias is not None:
        logits = logits + block.bias * LOG2_E
    if block.windows is not None and block.windows.masks:
        logits = logits.masked_fill(torch.tensor(block.windows.masked())[:, None], -torch.inf)
    powers = torch.exp2(logits - logits.amax(-1, keepdim=True))
    out = (powers / powers.sum(-1, keepdim=True)) @ v
    return linear(block.proj, back(block, out.transpose(-2, -3).reshape(*made.shape[:2], -1)))
