"""The float network's tensors under the integer graph's edge names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

Trace = dict[str, torch.Tensor]


@torch.inference_mode()
def float_trace(module: Any, normalized: torch.Tensor) -> Trace:
    """Run a timm ViT on float32 [N, C, H, W]; every edge that has a float meaning.

    ``scores`` are ``q k^T / sqrt(d)``, ``codes`` the probabilities, ``q`` unscaled; ``norm`` is
    the class token's, [N, 1, C], and ``logits`` [N, 1, classes], as in the graph. Without a
    classifier ``features`` [N, tokens, C] stands for both.
    """
    trace: Trace = {}
    handles = []

    def keep(name: str) -> Callable[..., None]:
        def hook(_module: Any, _inputs: Any, output: torch.Tensor) -> None:
            trace[name] = output

        return hook

    def keep_input(name: str) -> Callable[..., None]:
        def hook(_module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
            trace[name] = inputs[0]

        return hook

    for i, block in enumerate(module.blocks):
        prefix = f"blocks.{i}"
        handles += [
            block.norm1.register_forward_hook(keep(f"{prefix}.ln1")),
            block.attn.qkv.register_forward_hook(keep(f"{prefix}.qkv")),
            block.attn.proj.register_forward_pre_hook(keep_input(f"{prefix}.attn")),
            block.norm2.register_forward_pre_hook(keep_input(f"{prefix}.res1")),
            block.norm2.register_forward_hook(keep(f"{prefix}.ln2")),
            block.mlp.fc1.register_forward_hook(keep(f"{prefix}.fc1")),
            block.mlp.act.register_forward_hook(keep(f"{prefix}.gelu")),
            block.register_forward_hook(keep(f"{prefix}.res2")),
        ]
    handles += [
        module.blocks[0].register_forward_pre_hook(keep_input("embed")),
        final_norm(module).register_forward_hook(keep("norm")),
    ]
    try:
        result = module(normalized)
    finally:
        for handle in handles:
            handle.remove()
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
