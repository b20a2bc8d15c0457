"""Is the network that the quantizer read the network that timm computes? Compared before use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from golden.catalogue.preprocess import Preprocess
from golden.quant.vit.activations import activate
from golden.quant.vit.parameters import Block, Layer, Norm, Vit
from golden.support.errors import PotvitError

Pixels = npt.NDArray[np.uint8]

#: Largest difference between the two, relative to the output's norm.
TOLERANCE = 1e-3
#: Random pictures compared, and the seed of their pixels.
PICTURES, SEED = 2, 0


def require_same(vit: Vit, module: Any, preprocess: Preprocess) -> None:
    """Compare ``vit`` with its timm module: see `require_equal`."""

    def mapped(pixels: Pixels, eps: bool) -> torch.Tensor:
        return forward(vit, preprocess.normalize(pixels), eps=eps)

    require_equal(module, preprocess, mapped, vit.norm.eps)


def require_equal(
    module: Any,
    preprocess: Preprocess,
    mapped: Callable[[Pixels, bool], torch.Tensor],
    eps: float,
) -> None:
    """Compare a mapped network with its timm module on random pictures.

    ``mapped`` computes what will be quantized: folded weights, and LayerNorm without its ``eps``
    unless asked for, as the integer one is defined.

    Raises:
        PotvitError: an output differs by more than ``TOLERANCE`` of its norm.
    """
    generator = torch.Generator().manual_seed(SEED)
    shape = (PICTURES, preprocess.size, preprocess.size, preprocess.channels)
    pixels = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8).numpy()
    with torch.inference_mode():
        wanted = module(preprocess.normalize(pixels)).reshape(PICTURES, -1)
        found = difference(wanted, mapped(pixels, False))
        if found <= TOLERANCE:
            return
        with_eps = difference(wanted, mapped(pixels, True))
    if with_eps <= TOLERANCE:
        raise PotvitError(
            f"the LayerNorms' eps of {eps:g} moves the output by {found:.1e} of its norm: "
            "the integer LayerNorm has none, so this network cannot be quantized"
        )
    raise PotvitError(
        f"the network read from this {type(module).__name__} differs from it by {with_eps:.1e} of "
        "the output's norm on random pictures: something in it has another forward pass than timm's"
    )


def difference(wanted: torch.Tensor, got: torch.Tensor) -> float:
    """Largest relative distance of a picture's output, infinite where one is not finite."""
    got = got.reshape(wanted.shape)
    distance = (wanted - got).norm(dim=1) / wanted.norm(dim=1).clamp(min=1e-30)
    return float(torch.nan_to_num(distance, nan=float("inf")).max())


def forward(vit: Vit, images: torch.Tensor, *, eps: bool) -> torch.Tensor:
    """Return the output of the layers in ``vit`` for normalised float32 [N, C, H, W].

    ``eps=False`` leaves eps out of every LayerNorm. Logits [N, classes], or features
    [N, tokens, C].
    """
    stream = vit.embedded(vit.patches(images))
    for block in vit.blocks:
        stream = stream + _attention(block, norm(block.norm1, stream, eps))
        hidden = linear(block.fc1, norm(block.norm2, stream, eps))
        stream = stream + linear(block.fc2, activate(block.activation, hidden))
    if vit.token is not None:
        stream = stream[:, vit.token : vit.token + 1]
    out = norm(vit.norm, stream, eps)
    return out if vit.head is None else linear(vit.head, out)[:, 0]


def _attention(block: Block, x: torch.Tensor) -> torch.Tensor:
    qkv = linear(block.qkv, x).unflatten(-1, (3, block.heads, -1)).permute(2, 0, 3, 1, 4)
    q, k, v = qkv.unbind(0)
    weights = torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5, -1)
    return linear(block.proj, (weights @ v).transpose(1, 2).flatten(2))


def linear(layer: Layer, x: torch.Tensor) -> torch.Tensor:
    """The folded layer, as it will be quantized."""
    folded = layer.parameters()
    weight, bias = (torch.from_numpy(a).float() for a in (folded.weight, folded.bias))
    return F.linear(x, weight, bias)


def norm(layer: Norm, x: torch.Tensor, eps: bool) -> torch.Tensor:
    """The LayerNorm; without eps a token of equal channels becomes beta, as in integers."""
    if eps:
        return layer(x)
    centred = x - x.mean(-1, keepdim=True)
    deviation = centred.square().mean(-1, keepdim=True).sqrt()
    unit = torch.where(deviation > 0, centred / deviation.clamp(min=1e-38), 0.0)
    return unit * layer.weight + layer.bias
