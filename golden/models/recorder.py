"""Keeps what the modules of a float network read and made during one pass."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import torch

Trace = dict[str, torch.Tensor]


class Recorder:
    """A ``with`` block in which chosen modules leave their tensors in ``trace``."""

    def __init__(self) -> None:
        self.trace: Trace = {}
        self._handles: list[Any] = []

    def output(self, module: Any, name: str) -> None:
        """Keep what ``module`` makes as ``name``."""

        def hook(_module: Any, _inputs: Any, output: torch.Tensor) -> None:
            self.trace[name] = output

        self._handles.append(module.register_forward_hook(hook))

    def input(self, module: Any, name: str) -> None:
        """Keep what ``module`` reads as ``name``."""

        def hook(_module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
            self.trace[name] = inputs[0]

        self._handles.append(module.register_forward_pre_hook(hook))

    def block(self, block: Any, name: str) -> None:
        """Keep what timm's transformer blocks have in common, under the names of the graph.

        ``qkv`` is the fused projection, from which the caller makes the tensors of attention.
        """
        self.output(block.norm1, f"{name}.ln1")
        self.output(block.attn.qkv, f"{name}.qkv")
        self.input(block.attn.proj, f"{name}.attn")
        self.input(block.norm2, f"{name}.res1")
        self.output(block.norm2, f"{name}.ln2")
        self.output(block.mlp.fc1, f"{name}.fc1")
        self.output(block.mlp.act, f"{name}.gelu")
        self.output(block, f"{name}.res2")

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for handle in self._handles:
            handle.remove()
