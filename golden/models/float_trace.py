"""The float network's tensors under the integer graph's edge names."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from golden.models.recorder import Recorder, Trace
from golden.models.swin_trace import swin_trace


@torch.inference_mode()
def float_trace(module: Any, normalized: torch.Tensor) -> Trace:
    """Run a timm ViT or Swin on float32 [N, C, H, W]; every edge that has a float meaning.

    ``scores`` are ``q k^T / sqrt(d)``, ``codes`` the probabilities, ``q`` unscaled; ``norm`` is
    the class token's, [N, 1, C], and ``logits`` [N, 1, classes], as in the graph. Without a
    classifier ``features`` [N, tokens, C] stands for both.
    """
    if hasattr(module, "layers"):
        return swin_trace(module, normalized)
    with Recorder() as recorder:
        for i, block in enumerate(module.blocks):
            recorder.block(block, f"blocks.{i}")
        recorder.input(module.blocks[0], "embed")
        recorder.output(final_norm(module), "norm")
        result = module(normalized)
    trace = recorder.trace
    if module.num_classes:
        norm = trace["norm"]
        trace |= {"norm": norm[:, :1] if norm.ndim == 3 else norm[:, None]}
        trace["logits"] = result[:, None]
    else:
        del trace["norm"]
        trace["features"] = result if result.ndim == 3 else result[:, None]
    for i, block in enumerate(module.blocks):
        trace |= _attention(f"blocks.{i}", block.attn, trace.pop(f"blocks.{i}.qkv"))
    return trace


def final_norm(module: Any) -> Any:
    """The LayerNorm that the head reads: in front of pooling, or behind it."""
    return module.fc_norm if isinstance(module.norm, nn.Identity) else module.norm


def _attention(prefix: str, attention: Any, qkv: torch.Tensor) -> Trace:
    """q, k, v, logits and probabilities from the fused projection."""
    q, k, v = qkv.chunk(3, -1)
    qh, kh = (x.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2) for x in (q, k))
    scores = qh * attention.scale @ kh.transpose(-1, -2)
    made = {"q": q, "k": k, "v": v, "scores": scores, "codes": scores.softmax(-1)}
    return {f"{prefix}.{name}": value for name, value in made.items()}
