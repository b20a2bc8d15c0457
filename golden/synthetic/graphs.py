"""Small random integer graphs: valid, seeded, free of torch and timm.

They exercise executor, bundle, compiler and RTL without a model. Every shift is chosen from the
values that really arrive on two random images, so that int8 ranges are used, some values
saturate and attention codes spread from 0 to the zero code.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from golden.graph import ir
from golden.ops.softmax import RULE_CENTRED, RULE_HALF, AttnFormat, CodeRule, ExpForm
from golden.synthetic.builder import GraphBuilder

SAMPLES = 2


def random_image(graph: ir.Graph, seed: int) -> npt.NDArray[np.uint8]:
    """Return a seeded uint8 image of the graph's input shape: smooth blobs plus noise."""
    return picture(graph.tensors[graph.input].shape, np.random.default_rng(seed))


def picture(shape: tuple[int, ...], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Return uint8 pixels of ``shape`` [height, width, channels]: smooth blobs plus noise."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    waves = rng.uniform(-0.5, 0.5, (3, shape[2]))
    smooth = np.sin(y[..., None] * waves[0] + x[..., None] * waves[1] + 6 * waves[2])
    noise = rng.normal(0, 40, shape)
    return np.clip(128 + 90 * smooth + noise, 0, 255).astype(np.uint8)


def _grid(patches: int) -> tuple[int, int]:
    height = max(h for h in range(1, math.isqrt(patches) + 1) if patches % h == 0)
    return height, patches // height


def random_graph(
    *,
    tokens: int = 17,
    channels: int = 32,
    heads: int = 2,
    depth: int = 2,
    patch: int = 4,
    classes: int = 10,
    seed: int = 0,
    bits: int = 8,
    activations: int = 8,
    fmt: AttnFormat | None = AttnFormat.LOG2,
    form: ExpForm = ExpForm.BASE2,
    rule: CodeRule | None = None,
    hidden: int | None = None,
    image_channels: int = 3,
    prefix: int = 1,
    features: str | None = None,
) -> ir.Graph:
    """Return a valid random ViT graph with ``tokens - prefix`` patches, standard edge names.

    ``bits`` (8 or 4) are those of the blocks' weights, ``activations`` those of what these layers
    read (4 needs 4-bit weights); patch embedding and head stay at 8.
    ``hidden`` defaults to ``4 * channels``; ``rule`` to the format's own. ``features`` ("class" or
    "all") ends the network in the final LayerNorm of the first token or of all of them instead of
    a classifier. The same arguments give the same graph. Raises ``ValueError`` where ``heads``
    does not divide ``channels``.
    """
    if channels % heads:
        raise ValueError(f"{heads} heads do not divide {channels} channels")
    if rule is None:
        rule = RULE_HALF if fmt is AttnFormat.HALF else RULE_CENTRED
    rng = np.random.default_rng(seed)
    height, width = _grid(tokens - prefix)
    shape = (height * patch, width * patch, image_channels)
    build = GraphBuilder(rng, [picture(shape, rng) for _ in range(SAMPLES)])
    acc = build.patch_embedding(channels, patch, image_channels, prefix=prefix)
    stream = build.residual("embed", acc, None, constant_exp=-9)
    for i in range(depth):
        block = f"blocks.{i}"
        ln1 = build.layer_norm(f"{block}.ln1", stream, bits=activations)
        attn = build.attention(block, ln1, heads, bits, form, fmt, rule, out_bits=activations)
        acc = build.linear(
            f"{block}.proj", attn, channels, bits, output=f"{block}.proj.acc", wire=True
        )
        stream = build.residual(f"{block}.res1", acc, stream)
        ln2 = build.layer_norm(f"{block}.ln2", stream, bits=activations)
        acc = build.mlp(block, ln2, hidden or 4 * channels, bits, activations)
        stream = build.residual(f"{block}.res2", acc, stream)
    if features != "all":
        select = ir.Select(name="select", inputs=(stream,), output="select")
        stream = build.add(select, build.exponent(stream))
    norm = build.layer_norm("norm", stream, output=ir.FEATURES if features else None)
    if features is None:
        build.head(norm, classes)
    return build.graph({"model": "synthetic", "weights": f"random integers, seed {seed}"})
