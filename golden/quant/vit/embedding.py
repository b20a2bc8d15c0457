"""The patch embedding as calibrated integer nodes: pixels to the first residual stream."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from golden.catalogue.preprocess import Preprocess
from golden.execute.reference import patches
from golden.graph import ir
from golden.quant.calibrate import Calibrator
from golden.quant.search.linear import LinearParameters
from golden.quant.vit.parameters import Layer, Vit
from golden.quant.vit.stages import residual


def embed(cal: Calibrator, vit: Vit, preprocess: Preprocess, target: torch.Tensor) -> str:
    """Patch embedding and position constants; ``target`` [N, T-P, C] is the float embedding.

    The constant part of what is folded into the weights goes into the constants; the rows of the
    P prefix tokens have no products.
    """
    linear = patch_layer(cal, vit.embed, preprocess, target)
    acc = cal.add(
        patch_node(linear, vit.patch, prefix=len(vit.prefix)), linear.weight_exp, wire=True
    )
    position = vit.position.double().numpy().copy()
    position[: len(vit.prefix)] += vit.prefix.double().numpy()
    position[len(vit.prefix) :] += np.ldexp(linear.bias.astype(np.float64), linear.weight_exp)
    return residual(cal, "embed", acc, position)


def folded_patches(embed: Layer, preprocess: Preprocess) -> LinearParameters:
    """Return the patch embedding of centred pixels ``q = x - 128``, K ordered (ky, kx, channel).

    ``(x/255 - mean)/std`` folds into the weights (``W / (255 std)``) and, for its constant part,
    into the bias.
    """
    layer, channels = embed.parameters(), preprocess.channels
    mean, std = np.array(preprocess.mean), np.array(preprocess.std)
    kernel = layer.weight.reshape(len(layer.weight), channels, -1)
    centre = (kernel.sum(2) * ((128 / 255 - mean) / std)).sum(1)
    kernel = kernel / (255 * std)[None, :, None]
    return LinearParameters(
        weight=kernel.transpose(0, 2, 1).reshape(len(kernel), -1), bias=layer.bias + centre
    )


def patch_layer(
    cal: Calibrator, embed: Layer, preprocess: Preprocess, target: torch.Tensor
) -> ir.Linear:
    """The quantized patch embedding as a linear layer; ``target`` is its float output."""
    side = embed.weight.shape[-1]
    images = cal.values["image"].numpy()
    x = torch.from_numpy(np.stack([patches(image, side).astype(np.int8) for image in images]))
    return cal.accumulator("patch_embed", "image", folded_patches(embed, preprocess), target, x=x)


def patch_node(
    linear: ir.Linear, patch: int, *, prefix: int, bias: npt.NDArray[np.int32] | None = None
) -> ir.PatchEmbed:
    """The graph's node of a quantized patch embedding."""
    return ir.PatchEmbed(
        name="patch_embed",
        inputs=("image",),
        output="embed.acc",
        patch=patch,
        prefix=prefix,
        weight=linear.weight,
        weight_exp=linear.weight_exp,
        bits=linear.bits,
        bias=bias,
    )
