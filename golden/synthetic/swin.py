"""Small random Swin graphs: windows, shifts, masks, biases, merging and pooling without a model."""

from __future__ import annotations

import numpy as np

from golden.graph import ir
from golden.ops.pool import POOL_SHIFT_MAX
from golden.ops.softmax import RULE_CENTRED, RULE_HALF, AttnFormat, CodeRule, ExpForm
from golden.ops.windows import PatchMerge, Windows
from golden.synthetic.builder import GraphBuilder
from golden.synthetic.graphs import SAMPLES, picture

#: Deviation that the pooled sum is given.
POOLED = 40.0


def random_swin_graph(
    *,
    grid: tuple[int, int] = (8, 8),
    window: int = 4,
    channels: int = 16,
    head_depth: int = 8,
    depths: tuple[int, ...] = (2, 2),
    patch: int = 4,
    classes: int = 10,
    seed: int = 0,
    bits: int = 8,
    activations: int = 8,
    fmt: AttnFormat | None = AttnFormat.LOG2,
    form: ExpForm = ExpForm.BASE2,
    rule: CodeRule | None = None,
    ratio: int = 2,
    image_channels: int = 3,
) -> ir.Graph:
    """Return a valid random Swin graph of ``grid`` patches with the standard edge names.

    Stage ``s`` has ``depths[s]`` blocks of ``channels << s`` channels in heads of ``head_depth``;
    every second block is shifted by half a ``window``. As in timm, a side of the grid that is not
    longer than the window is one window without a shift, and other sides are padded to whole
    windows. ``ratio`` is that of the hidden layer, ``bits`` and ``activations`` are as in
    `random_graph`. The same arguments give the same graph. Raises ``ValueError`` where
    ``head_depth`` does not divide ``channels``.
    """
    if channels % head_depth:
        raise ValueError(f"heads of {head_depth} do not divide {channels} channels")
    if rule is None:
        rule = RULE_HALF if fmt is AttnFormat.HALF else RULE_CENTRED
    rng = np.random.default_rng(seed)
    shape = (grid[0] * patch, grid[1] * patch, image_channels)
    build = GraphBuilder(rng, [picture(shape, rng) for _ in range(SAMPLES)])
    stream = _embed(build, channels, patch, image_channels)
    number = 0
    for stage, depth in enumerate(depths):
        if stage:
            merge = PatchMerge(grid=grid)
            stream = _merge(build, f"blocks.{number}", stream, merge, bits, activations)
            grid, channels = merge.merged, 2 * channels
        for i in range(depth):
            windows = Windows.fitted(grid, window, window // 2 if i % 2 else 0)
            block, heads = f"blocks.{number}", channels // head_depth
            ln1 = build.layer_norm(f"{block}.ln1", stream, windows=windows, bits=activations)
            attn = build.attention(block, ln1, heads, bits, form, fmt, rule, windows, activations)
            acc = build.linear(
                f"{block}.proj", attn, channels, bits, output=f"{block}.proj.acc", wire=True
            )
            stream = build.residual(f"{block}.res1", acc, stream, windows=windows)
            ln2 = build.layer_norm(f"{block}.ln2", stream, bits=activations)
            acc = build.mlp(block, ln2, ratio * channels, bits, activations)
            stream = build.residual(f"{block}.res2", acc, stream)
            number += 1
    build.head(_pool(build, build.layer_norm("norm", stream)), classes)
    return build.graph({"model": "synthetic swin", "weights": f"random integers, seed {seed}"})


def _embed(build: GraphBuilder, channels: int, patch: int, image_channels: int) -> str:
    """Patch embedding, and the LayerNorm whose output is the stream."""
    acc = build.patch_embedding(channels, patch, image_channels, biased=True)
    return build.layer_norm(
        "embed.norm", build.residual("embed", acc, None, constant_exp=None), stream=True
    )


def _merge(
    build: GraphBuilder, block: str, stream: str, merge: PatchMerge, bits: int, activations: int
) -> str:
    """Four neighbours side by side, their LayerNorm, and the linear layer that begins a stream."""
    exponents = np.tile(build.exponent(stream), 4)
    node = ir.Merge(name=f"{block}.merge", inputs=(stream,), output=f"{block}.merge", merge=merge)
    merged = build.add(node, exponents)
    ln0 = build.layer_norm(f"{block}.ln0", merged, bits=activations)
    channels = len(exponents) // 2
    acc = build.linear(
        f"{block}.reduction", ln0, channels, bits, output=f"{block}.reduction.acc", wire=True
    )
    return build.residual(f"{block}.res0", acc, None, constant_exp=None)


def _pool(build: GraphBuilder, norm: str) -> str:
    """The sum of all tokens, as finely as the shifter array allows for its size."""
    tokens = build.values[norm][0].shape[0]
    least = max(tokens.bit_length() - 2, 0)
    sums = [value.sum(0) for value in build.values[norm]]
    shift = min(max(build.fit(sums, np.zeros(1), POOLED), least), POOL_SHIFT_MAX)
    node = ir.Pool(name="pool", inputs=(norm,), output="pool", shift=shift)
    return build.add(node, build.exponent(norm) + shift)
