"""Where the layers of a ViT's integer graph have their weights in the timm module."""

from __future__ import annotations

from typing import Any

from golden.quant.mixed.sensitivity import LayerWeights
from golden.support.errors import PotvitError


def layer_weights(module: Any) -> dict[str, LayerWeights]:
    """Return the linear layers of all blocks by their names in the graph, in execution order.

    Raises:
        PotvitError: the module is of another family.
    """
    if not hasattr(module, "blocks"):
        raise PotvitError("the search for weight bits knows ViTs (DeiT) only, not this family")
    found = {}
    for i, block in enumerate(module.blocks):
        qkv = block.attn.qkv.weight
        width = len(qkv) // 3
        for j, part in enumerate("qkv"):
            rows = slice(j * width, (j + 1) * width)
            found[f"blocks.{i}.{part}"] = LayerWeights(parameter=qkv, rows=rows)
        for part, layer in (
            ("proj", block.attn.proj),
            ("fc1", block.mlp.fc1),
            ("fc2", block.mlp.fc2),
        ):
            found[f"blocks.{i}.{part}"] = LayerWeights(parameter=layer.weight, rows=slice(None))
    return found
