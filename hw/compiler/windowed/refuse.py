"""What the accelerator cannot run of a windowed network, refused before anything is lowered."""

from __future__ import annotations

from golden.graph import ir
from golden.support.errors import PotvitError
from hw.compiler.frontend.refuse import (
    check_attention,
    check_linear,
    check_norm,
    check_patches,
    check_widths,
)
from hw.compiler.windowed.network import WindowedNetwork, windows_of
from hw.config import Config


def check_windowed(network: WindowedNetwork, config: Config) -> None:
    """Raise ``PotvitError`` for a windowed network that no program of ``config`` can run."""
    check_widths(network.graph, config)
    for node in network.graph.nodes:
        if ir.out_bits(node) != 8:
            raise PotvitError(
                f"only the executor runs this network: {node.name!r} makes {ir.out_bits(node)}-bit "
                "activations, which no program of windows reads"
            )
    patch = network.patch
    if patch.prefix:
        raise PotvitError(
            f"{patch.name!r} has {patch.prefix} tokens in front of the patches, which no window "
            "holds: only the executor runs this network"
        )
    check_patches(network.image_shape, patch.patch, config)
    check_linear(patch.name, patch.weight, patch.bias, patch.bits, config)
    for linear in network.linears:
        check_linear(linear.name, linear.weight, linear.bias, linear.bits, config)
    head = network.head
    check_linear(head.name, head.weight, head.bias, head.bits, config)
    for norm in network.norms:
        check_norm(norm)
        if norm.gamma.size > config.max_channels:
            raise PotvitError(
                f"{norm.name!r} has {norm.gamma.size} channels, but configuration "
                f"{config.name!r} stops at {config.max_channels} (max_channels)"
            )
    for block in network.blocks:
        check_attention(block, config)
        size = windows_of(block).size
        if size > config.max_keys:
            raise PotvitError(
                f"windows of {size} tokens, but configuration {config.name!r} stops at "
                f"{config.max_keys} (max_keys)"
            )
