"""From a timm ``VisionTransformer`` to `Vit`: every part mapped, folded, or refused by its name.

Nothing of the module may be left over: each parameter, buffer and submodule is claimed by the
role it plays, and what no role claims is an error that names it. Settings that change the result
without a module of their own (pooling, how positions are added) are read here too.
`golden.quant.vit.fidelity` compares the outcome with the module itself.
"""

from __future__ import annotations

from typing import Any

import torch

from golden.quant.claims import NORMS, PASSING, Claims, kind_of
from golden.quant.vit.parameters import Block, Norm, Vit
from golden.support.errors import PotvitError


def map_vit(module: Any) -> Vit:
    """Return the layers of a timm VisionTransformer.

    Raises:
        PotvitError: the module is of another class, or a part of it has no integer form here; the
            message names the part as timm does.
    """
    kind = kind_of(module)
    if kind != "VisionTransformer":
        raise PotvitError(
            f"{kind} cannot be quantized: the integer form is that of timm's VisionTransformer"
            + (" (its second token and head have none)" if kind.endswith("Distilled") else "")
        )
    return _Reader(module).vit()


class _Reader(Claims):
    """Reads one VisionTransformer."""

    def vit(self) -> Vit:
        """Read the whole module; ``PotvitError`` for what is left over."""
        module = self.module
        token = self._token()
        embed = self.patch_embed()
        self.nothing("patch_embed.norm", "a LayerNorm behind the patches")
        prefix, position = self._tokens()
        self.nothing("norm_pre", "a LayerNorm in front of the blocks")
        self.holder("blocks")
        blocks = tuple(self._block(f"blocks.{i}") for i in range(len(module.blocks)))
        norm = self._final_norm(token)
        head = None
        if self.is_a("head", PASSING):
            self.nothing("head", "")
        else:
            head = self.linear("head")
        if head is not None and token is None:
            raise PotvitError(
                "global_pool='' cannot be quantized with a classifier: one token must be selected"
            )
        self.finish()
        return Vit(
            patch=int(module.patch_embed.patch_size[0]),
            embed=embed,
            prefix=prefix,
            position=position,
            blocks=blocks,
            norm=norm,
            token=token,
            head=head,
        )

    def _token(self) -> int | None:
        """The token that pooling selects; None keeps all."""
        pool = self.module.global_pool
        if pool == "token":
            return 0
        if pool == "":
            return None
        raise PotvitError(
            f"global_pool={pool!r} cannot be quantized: the final LayerNorm must read one token "
            "('token') or all of them ('')"
        )

    def _tokens(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Prefix tokens [P, C] and the positions of all tokens [T, C]."""
        module = self.module
        self.nothing("pos_drop", "")
        self.nothing("patch_drop", "")
        made = [self.tensor(n)[0] for n in ("cls_token", "reg_token") if n in self.tensors]
        count, width = module.patch_embed.num_patches, module.embed_dim
        prefix = torch.cat([*made, torch.zeros(0, width)])
        position = torch.zeros(len(prefix) + count, width)
        if "pos_embed" in self.tensors:
            table = self.tensor("pos_embed")[0]
            first = len(prefix) if module.no_embed_class else 0
            if len(table) != len(position) - first:
                raise PotvitError(
                    f"pos_embed has {len(table)} positions for {len(position) - first} tokens"
                )
            position[first:] = table
        return prefix, position

    def _block(self, name: str) -> Block:
        self.claim(name, {"Block"}, "another kind of block")
        self.nothing(f"{name}.drop_path1", "")
        self.nothing(f"{name}.drop_path2", "")
        attn = f"{name}.attn"
        attention = self.claim(attn, {"Attention"}, "another kind of attention")
        self.nothing(f"{attn}.q_norm", "a norm on the queries")
        self.nothing(f"{attn}.k_norm", "a norm on the keys")
        self.nothing(f"{attn}.norm", "a norm behind attention")
        self.nothing(f"{attn}.attn_drop", "")
        self.nothing(f"{attn}.proj_drop", "")
        fc1, activation, fc2 = self.mlp(f"{name}.mlp", f"{name}.ls2")
        made = Block(
            norm1=self.norm(f"{name}.norm1"),
            qkv=self.linear(f"{attn}.qkv"),
            proj=self.linear(f"{attn}.proj", f"{name}.ls1"),
            norm2=self.norm(f"{name}.norm2"),
            fc1=fc1,
            activation=activation,
            fc2=fc2,
            heads=int(attention.num_heads),
        )
        width, across = self.module.embed_dim, len(made.qkv.weight) // 3
        if across != width or width % made.heads:
            raise PotvitError(
                f"{attn}: {made.heads} heads share {across} channels, the tokens have {width}"
            )
        return made

    def _final_norm(self, token: int | None) -> Norm:
        """The LayerNorm in front of the head; with one token it may stand before pooling."""
        self.nothing("head_drop", "")
        if self.is_a("norm", PASSING) and self.is_a("fc_norm", NORMS) and token is not None:
            self.nothing("norm", "")
            return self.norm("fc_norm")
        self.nothing("fc_norm", "a norm behind pooling")
        if self.is_a("norm", PASSING):
            raise PotvitError("norm is missing: a network without a final LayerNorm has no "
                              "integer form here")  # fmt: skip
        return self.norm("norm")
