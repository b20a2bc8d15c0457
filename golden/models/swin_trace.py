"""A float Swin's tensors under the integer graph's edge names."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from golden.models.recorder import Recorder, Trace
from golden.ops.windows import Windows


@torch.inference_mode()
def swin_trace(module: Any, normalized: torch.Tensor) -> Trace:
    """Run a timm SwinTransformer on float32 [N, C, H, W]; every edge that has a float meaning.

    As `golden.models.float_trace.float_trace`; from ``ln1`` to ``attn`` tokens are in window
    order. ``scores`` have the relative position bias, masked ones are NaN and their ``codes`` 0.
    ``pool`` is the sum of the tokens.
    """
    blocks = [block for stage in module.layers for block in stage.blocks]
    with Recorder() as recorder:
        recorder.output(module.patch_embed.proj, "embed")
        recorder.output(module.patch_embed, "embed.norm")
        first = 0
        for stage in module.layers:
            if hasattr(stage.downsample, "norm"):
                recorder.output(stage.downsample.norm, f"blocks.{first}.ln0")
                recorder.output(stage.downsample, f"blocks.{first}.res0")
            first += len(stage.blocks)
        for i, block in enumerate(blocks):
            recorder.block(block, f"blocks.{i}")
        recorder.output(module.norm, "norm")
        logits = module(normalized)
    trace, count = recorder.trace, len(normalized)
    trace["embed"] = trace["embed"].permute(0, 2, 3, 1)
    for name, value in trace.items():  # one axis of tokens, whatever the module's layout
        trace[name] = value.reshape(count, -1, value.shape[-1])
    trace["pool"], trace["logits"] = trace["norm"].sum(1, keepdim=True), logits[:, None]
    for i, block in enumerate(blocks):
        windows = Windows(
            grid=block.input_resolution, window=block.window_size, shift=block.shift_size
        )
        ln1 = trace[f"blocks.{i}.ln1"].numpy()
        ordered = np.stack([windows.compute(picture) for picture in ln1])
        trace[f"blocks.{i}.ln1"] = torch.from_numpy(ordered)
        trace |= _attention(f"blocks.{i}", block.attn, windows, trace.pop(f"blocks.{i}.qkv"))
    return trace


def _attention(prefix: str, attention: Any, windows: Windows, qkv: torch.Tensor) -> Trace:
    """q, k, v, logits and probabilities from the fused projection."""
    q, k, v = qkv.chunk(3, -1)
    qh, kh = (
        x.unflatten(1, (windows.count, windows.size))
        .unflatten(-1, (attention.num_heads, -1))
        .transpose(-2, -3)
        for x in (q, k)
    )
    scores = qh * attention.scale @ kh.transpose(-1, -2) + attention._get_rel_pos_bias()
    hidden = torch.tensor(windows.masked())[:, None]
    codes = scores.masked_fill(hidden, -torch.inf).softmax(-1)
    scores = scores.masked_fill(hidden, torch.nan)
    made = {"q": q, "k": k, "v": v, "scores": scores, "codes": codes}
    return {f"{prefix}.{name}": value for name, value in made.items()}
