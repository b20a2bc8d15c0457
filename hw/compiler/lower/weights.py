"""Weight tiles of the graph's layers, with the parameters of what follows them."""

from __future__ import annotations

from golden.graph import ir
from hw.compiler.frontend.modes import mode_of
from hw.compiler.image.layout import Tiles, add_tiles, pad_patch_rows, parameters
from hw.compiler.lower.steps import Steps
from hw.lib.numbers import Array

EVERY_ROW = slice(None)


def requantized_tiles(emitter: Steps, node: ir.Linear, rows: slice = EVERY_ROW) -> Tiles:
    """Output channels ``rows`` of a layer that ends in the requantizer."""
    assert node.shift is not None
    weight = node.weight[rows]
    params = parameters(
        emitter.config,
        weight.shape[0],
        bias=node.bias[rows],
        shift=node.shift[rows],
        name=node.name,
    )
    return add_tiles(emitter.dram, emitter.config, weight, mode_of(node, emitter.graph), params)


def added_tiles(
    emitter: Steps, node: ir.Linear, weight: Array, add: ir.Residual, alpha: Array
) -> Tiles:
    """A layer that ends in the residual adder; ``alpha`` are the PTF exponents of its result."""
    params = parameters(
        emitter.config,
        weight.shape[0],
        bias=node.bias,
        shift=add.shift,
        la=add.la,
        lo=add.lo,
        alpha=alpha,
        name=add.name,
    )
    return add_tiles(emitter.dram, emitter.config, weight, mode_of(node, emitter.graph), params)


def patch_tiles(
    emitter: Steps, patch: ir.PatchEmbed, embed: ir.Residual, norm: ir.LayerNorm
) -> Tiles:
    """The weights of the patch embedding, with the parameters of its residual addition ``embed``.

    ``norm`` reads the sums.
    """
    config = emitter.config
    params = parameters(
        config,
        patch.weight.shape[0],
        bias=patch.bias,
        shift=embed.shift,
        la=embed.la,
        lo=embed.lo,
        alpha=norm.alpha,
        name=embed.name,
    )
    weight = pad_patch_rows(patch.weight, patch.patch, config)
    return add_tiles(emitter.dram, config, weight, mode_of(patch, emitter.graph), params)
