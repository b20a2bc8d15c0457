"""What the accelerator cannot run, refused with the reason before anything is lowered."""

from __future__ import annotations

import numpy as np

from golden.graph import ir
from golden.ops.layernorm import ALPHA_MAX
from golden.ops.psmac import MacMode
from golden.ops.softmax import LUT_BITS
from golden.support.errors import PotvitError
from hw.compiler.frontend.network import Block, Network
from hw.config import Config
from hw.isa.limits import SHIFTS
from hw.isa.payload import Gather
from hw.lib.numbers import Array


def check_network(network: Network, config: Config) -> None:
    """Raise ``PotvitError`` for a network that no program of ``config`` can run."""
    check_widths(network.graph, config)
    _check_plain(network)
    _check_sizes(network, config)
    _check_image(network, config)
    check_linear(network.patch.name, network.patch.weight, None, network.patch.bits, config)
    for block in network.blocks:
        check_attention(block, config)
        for node in (block.q, block.k, block.v, block.proj, block.fc1, block.fc2):
            check_linear(node.name, node.weight, node.bias, node.bits, config)
        for norm in (block.ln1, block.ln2):
            check_norm(norm)
    check_norm(network.norm)
    if head := network.head:
        check_linear(head.name, head.weight, head.bias, head.bits, config)


def check_widths(graph: ir.Graph, config: Config) -> None:
    """Raise ``PotvitError`` for activations that are narrower than the array's."""
    for node in graph.nodes:
        if ir.out_bits(node) != 8 and not config.precision.has(MacMode.W4A4):
            raise PotvitError(
                f"{node.name!r} makes {ir.out_bits(node)}-bit activations, but configuration "
                f"{config.name!r} has precision {config.precision}: take precision w4a4"
            )


#: What a node of the graph may also have and no program does, with what it is without it.
BEYOND: tuple[tuple[type[ir.Node], str, object], ...] = (
    (ir.PatchEmbed, "bias", None),
    (ir.Scores, "windows", None),
    (ir.Scores, "bias", None),
    (ir.Softmax, "masked", False),
    (ir.Residual, "windows", None),
    (ir.LayerNorm, "windows", None),
)


def _check_plain(network: Network) -> None:
    for node in network.graph.nodes:
        for kind, name, plain in BEYOND:
            if isinstance(node, kind) and getattr(node, name) is not plain:
                what = name.replace("_", " ")
                raise PotvitError(
                    f"only the executor runs {node.name!r}: no program follows its {what}"
                )


def _check_sizes(network: Network, config: Config) -> None:
    limits = (
        ("tokens", network.tokens, min(config.max_tokens, config.max_keys), "max_tokens, max_keys"),
        ("channels", network.channels, config.max_channels, "max_channels"),
    )
    for what, need, have, name in limits:
        if need > have:
            raise PotvitError(
                f"{need} {what}, but configuration {config.name!r} stops at {have} ({name})"
            )
    if network.select and network.select.index % config.rows:
        raise PotvitError(
            f"{network.select.name!r} keeps token {network.select.index}: the final LayerNorm must "
            f"start at a multiple of rows = {config.rows}"
        )


def _check_image(network: Network, config: Config) -> None:
    if network.patch.prefix != 1:
        raise PotvitError(
            f"{network.patch.name!r} has {network.patch.prefix} tokens in front of the patches; "
            "the accelerator has one, the class token: only the executor runs this network"
        )
    check_patches(network.image_shape, network.patch.patch, config)


def check_patches(shape: tuple[int, int, int], patch: int, config: Config) -> None:
    """Raise ``PotvitError`` for patches that no token run brings."""
    height, width, channels = shape
    if height % patch or width % patch:
        raise PotvitError(
            f"image {height} x {width} is not made of whole {patch} x {patch} patches"
        )
    if patch * width * channels % config.axi_bytes:
        raise PotvitError(
            f"one row of patches is {patch * width * channels} bytes, "
            f"no multiple of the bus, axi_bytes = {config.axi_bytes}"
        )
    limits = {
        "rows of a patch": (patch, Gather.width("rows")),
        "patches side by side": (width // patch, Gather.width("segs")),
        "bytes in one row of a patch": (patch * channels, Gather.width("seg_bytes")),
    }
    for what, (count, bits) in limits.items():
        if count >= 1 << bits:
            raise PotvitError(f"{count} {what}: an instruction counts to {(1 << bits) - 1}")


def check_linear(name: str, weight: Array, bias: Array | None, bits: int, config: Config) -> None:
    """Raise ``PotvitError`` for weights that the array cannot multiply or sum up."""
    if bits not in (4, 8):
        raise PotvitError(f"{name!r} has {bits}-bit weights; the accelerator multiplies 8 or 4")
    if bits == 4 and not config.precision.has(MacMode.W4):
        raise PotvitError(
            f"{name!r} has 4-bit weights, but configuration {config.name!r} has precision "
            f"{config.precision}: take precision w4a8"
        )
    limit = 1 << (bits - 1)
    if weight.min() < -limit or weight.max() >= limit:
        raise PotvitError(f"{name!r} has weights outside {bits} bits")
    bound = 128 * np.abs(weight.astype(np.int64)).sum(1)
    if bias is not None:
        bound += np.abs(bias.astype(np.int64))
    if bound.max() >= 1 << 31:
        raise PotvitError(f"{name!r} can overflow a 32-bit accumulator")


def check_attention(block: Block, config: Config) -> None:
    """Raise ``PotvitError`` for attention in a form that the unit does not have."""
    softmax, attn = block.softmax, block.attn
    if softmax.fmt is None or attn.fmt is None:
        raise PotvitError(
            f"{softmax.name!r} keeps uint8 uniform attention (no --lis): only the executor runs it"
        )
    if softmax.fmt is not attn.fmt:
        raise PotvitError(
            f"{attn.name!r} reads {attn.fmt} codes, {softmax.name!r} makes {softmax.fmt}"
        )
    if softmax.form is not config.exp_form:
        raise PotvitError(
            f"{softmax.name!r} uses the {softmax.form} exponential, configuration {config.name!r} "
            f"was generated with {config.exp_form}"
        )
    if softmax.logit_exp.min() < -LUT_BITS or softmax.logit_exp.max() > 0:
        raise PotvitError(f"{softmax.name!r}: logit exponents outside -{LUT_BITS}..0")
    total = attn.shift + attn.fmt.fraction_bits
    if total.min() < SHIFTS.start or total.max() >= SHIFTS.stop:
        raise PotvitError(
            f"{attn.name!r}: attention x V shifted by {total.min()}..{total.max()}; the "
            f"accelerator has {SHIFTS.start}..{SHIFTS.stop - 1}"
        )


def check_norm(norm: ir.LayerNorm) -> None:
    """Raise ``PotvitError`` for a LayerNorm that the unit cannot compute."""
    if norm.alpha.min() < 0 or norm.alpha.max() > ALPHA_MAX:
        raise PotvitError(f"{norm.name!r}: PTF exponents outside 0..{ALPHA_MAX}")
    if not 0 <= norm.shift < 64:
        raise PotvitError(f"{norm.name!r}: shift {norm.shift} outside 0..63")
