"""Seeded random weights whose activations look like a trained network's.

timm's initialisation leaves attention flat (nearly every softmax code is the same), so hardware
proven on it is proven on little. Here every sublayer changes the residual by a comparable
amount, LayerNorm parameters and biases differ per channel, and the query weights of each head
are scaled until its base-2 logits span `SPAN` within a typical row, measured on the two photos
that scikit-learn carries.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from golden.catalogue.preprocess import Preprocess

#: Median over rows of (largest - smallest) attention logit, in base-2 units.
SPAN = 22.0
_LOG2_E = 1.4426950408889634


def randomize(module: nn.Module, preprocess: Preprocess, seed: int) -> None:
    """Overwrite all parameters of a timm VisionTransformer or SwinTransformer in place.

    The same seed gives the same weights: draws come from one generator in the order of the
    parameters, and the measured head scales are rounded to quarter octaves, far coarser than
    any difference between machines.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(_shape_noise(name, noise))
        _spread_logits(module, _sample_input(preprocess))


def _shape_noise(name: str, noise: torch.Tensor) -> torch.Tensor:
    """Scale unit normal noise for the role that the parameter's name tells."""
    kind = name.rsplit(".", 1)[-1]
    if name in ("cls_token", "reg_token", "dist_token", "pos_embed"):
        return noise * 0.5
    if kind == "gamma":  # LayerScale: every block still changes the residual
        return torch.exp2(noise * 0.4) * 0.7
    if kind == "relative_position_bias_table":
        return noise
    if "norm" in name:
        return torch.exp2(noise * 0.4) if kind == "weight" else noise * 0.2
    if kind == "bias":
        return noise * 0.1
    fan_in = noise[0].numel()
    gain = 3.0 if name.startswith("head") else 1.0
    return noise * (gain / fan_in**0.5)


def _sample_input(preprocess: Preprocess) -> torch.Tensor:
    """The two scikit-learn photos as model input."""
    import numpy as np

    from golden.data.pictures import sample_photos

    return preprocess.normalize(np.stack([s.pixels(preprocess) for s in sample_photos()]))


def _spread_logits(module: Any, images: torch.Tensor) -> None:
    """Scale each head's query rows, block after block, until its logits span `SPAN`.

    Blocks of another kind, whose queries are normalised or have no layer of their own, stay.
    """
    if hasattr(module, "layers"):
        tokens, blocks = module.patch_embed(images), _stages(module)
    else:
        tokens = module.norm_pre(module.patch_drop(module._pos_embed(module.patch_embed(images))))
        blocks = module.blocks
    for block in blocks:
        seen: list[torch.Tensor] = []
        attention: Any = getattr(block, "attn", None)
        fused = getattr(attention, "qkv", None)
        if fused is None or fused.weight.numel() != 3 * tokens.shape[-1] ** 2:
            tokens = block(tokens)
            continue
        handle = attention.register_forward_pre_hook(
            lambda _module, x, seen=seen: seen.append(x[0])
        )
        block(tokens)
        handle.remove()
        _spread_heads(attention, seen[0])
        tokens = block(tokens)


def _stages(module: Any) -> Iterator[Any]:
    """A Swin's blocks through all stages, and what stands in front of a stage."""
    for stage in module.layers:
        yield stage.downsample
        yield from stage.blocks


def _spread_heads(attention: Any, normed: torch.Tensor) -> None:
    """Scale the query rows of one attention that reads ``normed`` [N, tokens, C].

    The relative position bias of a window comes on top.
    """
    batch, length, width = normed.shape
    heads, depth = attention.num_heads, width // attention.num_heads
    qkv = attention.qkv(normed).reshape(batch, length, 3, heads, depth)
    query, key = qkv[:, :, 0].transpose(1, 2), qkv[:, :, 1].transpose(1, 2)
    logits = query @ key.transpose(-1, -2) * depth**-0.5 * _LOG2_E
    span = (logits.amax(-1) - logits.amin(-1)).transpose(0, 1).reshape(heads, -1)
    span[span == 0] = torch.nan  # padded tokens of a window
    octaves = torch.log2(SPAN / span.nanmedian(dim=1).values)
    factor = torch.exp2(torch.round(octaves * 4) / 4).repeat_interleave(depth)
    attention.qkv.weight[:width] *= factor[:, None]
    if attention.qkv.bias is not None:
        attention.qkv.bias[:width] *= factor
