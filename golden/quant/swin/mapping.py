"""From a timm ``SwinTransformer`` to `Swin`: every part mapped, or refused by its name."""

from __future__ import annotations

import math
from typing import Any

import torch

from golden.ops.windows import PatchMerge, Windows
from golden.quant.claims import Claims
from golden.quant.swin.parameters import Merging, Swin
from golden.quant.vit.parameters import Block
from golden.support.errors import PotvitError

KIND = "SwinTransformer"


def map_swin(module: Any) -> Swin:
    """Return the layers of a timm SwinTransformer.

    Raises:
        PotvitError: a part of the module has no integer form here; the message names it as timm
            does.
    """
    return _Reader(module).swin()


class _Reader(Claims):
    """Reads one SwinTransformer."""

    def swin(self) -> Swin:
        """Read the whole module; ``PotvitError`` for what is left over."""
        embed = self.patch_embed()
        stream = self.norm("patch_embed.norm")
        grid = (
            int(self.module.patch_embed.grid_size[0]),
            int(self.module.patch_embed.grid_size[1]),
        )
        blocks: list[Block] = []
        mergings: dict[int, Merging] = {}
        self.holder("layers")
        for i, stage in enumerate(self.module.layers):
            name = f"layers.{i}"
            self.claim(name, {"SwinTransformerStage"}, "another kind of stage")
            if self.is_a(f"{name}.downsample", {"PatchMerging"}):
                mergings[len(blocks)] = self._merging(f"{name}.downsample", grid)
                grid = mergings[len(blocks)].order.merged
            else:
                self.nothing(f"{name}.downsample", "another way from stage to stage")
            self.holder(f"{name}.blocks")
            blocks += [self._block(f"{name}.blocks.{j}", grid) for j in range(len(stage.blocks))]
        made = Swin(
            patch=int(self.module.patch_embed.patch_size[0]),
            embed=embed,
            stream=stream,
            blocks=tuple(blocks),
            mergings=mergings,
            norm=self.norm("norm"),
            tokens=math.prod(grid),
            head=self._head(),
        )
        self.finish()
        return made

    def _merging(self, name: str, grid: tuple[int, int]) -> Merging:
        self.claim(name, {"PatchMerging"}, "another way from stage to stage")
        return Merging(
            order=PatchMerge(grid=grid),
            norm=self.norm(f"{name}.norm"),
            reduction=self.linear(f"{name}.reduction"),
        )

    def _block(self, name: str, grid: tuple[int, int]) -> Block:
        block = self.claim(name, {"SwinTransformerBlock"}, "another kind of block")
        for part in ("drop_path1", "drop_path2", "attn.attn_drop", "attn.proj_drop"):
            self.nothing(f"{name}.{part}", "")
        attn = f"{name}.attn"
        attention = self.claim(attn, {"WindowAttention"}, "another kind of attention")
        self.claim(f"{attn}.softmax", {"Softmax"}, "another function than softmax")
        try:
            windows = Windows(grid=grid, window=block.window_size, shift=block.shift_size)
        except ValueError as error:
            raise PotvitError(f"{name}: {error}") from None
        qkv, heads = self.linear(f"{attn}.qkv"), int(attention.num_heads)
        proj = self.linear(f"{attn}.proj")
        width = len(proj.weight)
        if len(qkv.weight) != 3 * width or width % heads:
            across = len(qkv.weight) // 3
            raise PotvitError(
                f"{attn}: {heads} heads share {across} channels, the tokens have {width}"
            )
        fc1, activation, fc2 = self.mlp(f"{name}.mlp")
        return Block(
            norm1=self.norm(f"{name}.norm1"),
            qkv=qkv,
            proj=proj,
            norm2=self.norm(f"{name}.norm2"),
            fc1=fc1,
            activation=activation,
            fc2=fc2,
            heads=heads,
            windows=windows,
            bias=self._bias(attn, name, windows),
        )

    def _bias(self, attn: str, block: str, windows: Windows) -> torch.Tensor:
        """Relative position bias [heads, n, n]; index and mask must be those of ``windows``."""
        table = self.tensor(f"{attn}.relative_position_bias_table").numpy()
        bias = windows.bias(table)
        index = self.tensor(f"{attn}.relative_position_index").long().numpy()
        if index.shape != bias.shape[1:] or (table[index].transpose(2, 0, 1) != bias).any():
            raise PotvitError(f"{attn}.relative_position_index is not that of its window")
        mask = f"{block}.attn_mask"
        seen = torch.tensor(windows.masked())
        masked = self.tensor(mask) < 0 if mask in self.tensors else torch.zeros_like(seen)
        if masked.shape != seen.shape or bool((masked != seen).any()):
            raise PotvitError(f"{mask} is not that of its shifted windows")
        return torch.from_numpy(bias)

    def _head(self) -> Any:
        pool = "head.global_pool"
        self.claim("head", {"ClassifierHead"}, "another kind of head")
        found = self.claim(pool, {"SelectAdaptivePool2d"}, "another kind of pooling")
        self.claim(f"{pool}.pool", {"FastAdaptiveAvgPool"}, "pooling is the mean of all tokens")
        if found.pool_type not in ("avg", "fast", "fastavg"):
            raise PotvitError(f"{pool}: {found.pool_type!r} is not the mean of all tokens")
        for part in (f"{pool}.flatten", "head.drop", "head.flatten"):
            self.nothing(part, "")
        return self.linear("head.fc")
