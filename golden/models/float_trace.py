"""The float network's tensors under the integer graph's edge names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

Trace = dict[str, torch.Tensor]


@torch.inference_mode()
def float_trace(module: Any, normalized: torch.Tensor) -> Trace:
    """Run a timm ViT on float32 [N, C, H, W]; every edge that has a float meaning.

    ``scores`` are ``q k^T / sqrt(d)``, ``codes`` the probabilities, ``q`` unscaled; ``norm`` is
    the class token's, [N, 1, C], and ``logits`` [N, 1, classes], as in the graph.
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
        module.norm.register_forward_hook(keep("norm")),
    ]
    try:
        trace["logits"] = module(normalized)[:, None]
    finally:
        for handle in handles:
            handle.remove()
    trace["norm"] = trace["norm"][:, :1]
    for i, block in enumerate(module.blocks):
        trace |= _attention(f"blocks.{i}", block.attn, trace.pop(f"blocks.{i}.qkv"))
    return trace


def _attention(prefix: str, attention: Any, qkv: torch.Tensor) -> Trace:
    """q, k, v, logits and probabilities from the fused projection."""
    q, k, v = qkv.chunk(3, -1)
    qh, kh = (x.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2) for x in (q, k))
    scores = qh * attention.scale @ kh.transpose(-1, -2)
    made = {"q": q, "k": k, "v": v, "scores": scores, "codes": scores.softmax(-1)}
    return {f"{prefix}.{name}": value for name, value in made.items()}
