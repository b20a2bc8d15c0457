"""From a timm ``VisionTransformer`` to `Vit`: every part mapped, folded, or refused by its name.

Nothing of the module may be left over: each parameter, buffer and submodule is claimed by the
role it plays, and what no role claims is an error that names it. Settings that change the result
without a module of their own (pooling, how positions are added) are read here too.
`golden.quant.vit.fidelity` compares the outcome with the module itself.
"""

from __future__ import annotations

from typing import Any

import torch

from golden.ops.gelu import Activation
from golden.quant.vit.parameters import Block, Layer, Norm, Vit
from golden.support.errors import PotvitError

#: Modules that pass their input on in evaluation, by class name.
_PASSING = {"Identity", "Dropout", "DropPath", "PatchDropout"}
#: Modules that only hold others.
_HOLDING = {"Sequential"}
_NORMS = {"LayerNorm", "LayerNormFp32"}
_ACTIVATIONS = {
    "GELU": Activation.GELU,
    "GELUTanh": Activation.GELU_TANH,
    "QuickGELU": Activation.QUICK_GELU,
    "ReLU": Activation.RELU,
    "SiLU": Activation.SILU,
    "Swish": Activation.SILU,
}


def map_vit(module: Any) -> Vit:
    """Return the layers of a timm VisionTransformer.

    Raises:
        PotvitError: the module is of another class, or a part of it has no integer form here; the
            message names the part as timm does.
    """
    kind = _kind(module)
    if kind != "VisionTransformer":
        raise PotvitError(
            f"{kind} cannot be quantized: the integer form is that of timm's VisionTransformer"
            + (" (its second token and head have none)" if kind.endswith("Distilled") else "")
        )
    return _Reader(module).vit()


def _kind(module: Any) -> str:
    """Class name of a module, with its package where that is neither torch nor timm."""
    cls = type(module)
    known = cls.__module__.split(".")[0] in ("torch", "timm")
    return cls.__name__ if known else f"{cls.__module__}.{cls.__name__}"


class _Reader:
    """Claims the parts of one module."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.modules: dict[str, Any] = dict(module.named_modules(remove_duplicate=False))
        tensors = [
            *module.named_parameters(remove_duplicate=False),
            *module.named_buffers(remove_duplicate=False),
        ]
        self.tensors: dict[str, torch.Tensor] = dict(tensors)
        self.left_modules, self.left_tensors = set(self.modules) - {""}, set(self.tensors)

    def vit(self) -> Vit:
        """Read the whole module; ``PotvitError`` for what is left over."""
        module = self.module
        token = self._token()
        embed = self._patch_embed()
        prefix, position = self._tokens()
        self._nothing("norm_pre", "a LayerNorm in front of the blocks")
        self._holder("blocks")
        blocks = tuple(self._block(f"blocks.{i}") for i in range(len(module.blocks)))
        norm = self._final_norm(token)
        head = None
        if self._is("head", _PASSING):
            self._nothing("head", "")
        else:
            head = self._linear("head")
        if head is not None and token is None:
            raise PotvitError(
                "global_pool='' cannot be quantized with a classifier: one token must be selected"
            )
        self._finish()
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

    def _patch_embed(self) -> Layer:
        name = "patch_embed"
        embed = self._claim(name, {"PatchEmbed"}, "another stem than one convolution")
        self._nothing(f"{name}.norm", "a LayerNorm behind the patches")
        proj = self._claim(f"{name}.proj", {"Conv2d"}, "another layer than a convolution")
        patch = tuple(embed.patch_size)
        if patch[0] != patch[1]:
            raise PotvitError(f"{name}: patches of {patch[0]} x {patch[1]} are not square")
        plain = (
            proj.kernel_size == proj.stride == patch
            and tuple(proj.dilation) == (1, 1)
            and proj.groups == 1
            and proj.padding in ((0, 0), 0)
        )
        if not plain:
            raise PotvitError(f"{name}.proj: the convolution is not one of patches side by side")
        height, width = embed.img_size
        if height != width or height % patch[0]:
            raise PotvitError(
                f"{name}: a picture of {height} x {width} is not square or not made of whole "
                f"patches of {patch[0]}"
            )
        return Layer(weight=self._tensor(f"{name}.proj.weight"), bias=self._bias(f"{name}.proj"))

    def _tokens(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Prefix tokens [P, C] and the positions of all tokens [T, C]."""
        module = self.module
        self._nothing("pos_drop", "")
        self._nothing("patch_drop", "")
        made = [self._tensor(n)[0] for n in ("cls_token", "reg_token") if n in self.tensors]
        count, width = module.patch_embed.num_patches, module.embed_dim
        prefix = torch.cat([*made, torch.zeros(0, width)])
        position = torch.zeros(len(prefix) + count, width)
        if "pos_embed" in self.tensors:
            table = self._tensor("pos_embed")[0]
            first = len(prefix) if module.no_embed_class else 0
            if len(table) != len(position) - first:
                raise PotvitError(
                    f"pos_embed has {len(table)} positions for {len(position) - first} tokens"
                )
            position[first:] = table
        return prefix, position

    def _block(self, name: str) -> Block:
        self._claim(name, {"Block"}, "another kind of block")
        self._nothing(f"{name}.drop_path1", "")
        self._nothing(f"{name}.drop_path2", "")
        attn = f"{name}.attn"
        attention = self._claim(attn, {"Attention"}, "another kind of attention")
        self._nothing(f"{attn}.q_norm", "a norm on the queries")
        self._nothing(f"{attn}.k_norm", "a norm on the keys")
        self._nothing(f"{attn}.norm", "a norm behind attention")
        self._nothing(f"{attn}.attn_drop", "")
        self._nothing(f"{attn}.proj_drop", "")
        mlp = f"{name}.mlp"
        self._claim(mlp, {"Mlp"}, "another kind of MLP")
        self._nothing(f"{mlp}.norm", "a norm inside the MLP")
        self._nothing(f"{mlp}.drop1", "")
        self._nothing(f"{mlp}.drop2", "")
        made = Block(
            norm1=self._norm(f"{name}.norm1"),
            qkv=self._linear(f"{attn}.qkv"),
            proj=self._linear(f"{attn}.proj", f"{name}.ls1"),
            norm2=self._norm(f"{name}.norm2"),
            fc1=self._linear(f"{mlp}.fc1"),
            activation=self._activation(f"{mlp}.act"),
            fc2=self._linear(f"{mlp}.fc2", f"{name}.ls2"),
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
        self._nothing("head_drop", "")
        if self._is("norm", _PASSING) and self._is("fc_norm", _NORMS) and token is not None:
            self._nothing("norm", "")
            return self._norm("fc_norm")
        self._nothing("fc_norm", "a norm behind pooling")
        if self._is("norm", _PASSING):
            raise PotvitError("norm is missing: a network without a final LayerNorm has no "
                              "integer form here")  # fmt: skip
        return self._norm("norm")

    def _is(self, name: str, kinds: set[str]) -> bool:
        return name in self.modules and _kind(self.modules[name]) in kinds

    def _claim(self, name: str, kinds: set[str], otherwise: str) -> Any:
        """Take a module of one of ``kinds`` (class names of torch or timm)."""
        if not self._is(name, kinds):
            found = _kind(self.modules[name]) if name in self.modules else "nothing"
            raise PotvitError(f"{name} ({found}) has no integer form here: {otherwise}")
        self.left_modules.discard(name)
        return self.modules[name]

    def _holder(self, name: str) -> None:
        self._claim(name, _HOLDING, "blocks that do not follow one another")

    def _nothing(self, name: str, what: str) -> None:
        """Take a module that passes its input on, if it is there."""
        if name in self.modules:
            self._claim(name, _PASSING, what or "not known to pass its input on")

    def _tensor(self, name: str) -> torch.Tensor:
        self.left_tensors.discard(name)
        return self.tensors[name].detach().float()

    def _bias(self, layer: str) -> torch.Tensor | None:
        name = f"{layer}.bias"
        return self._tensor(name) if name in self.tensors else None

    def _linear(self, name: str, scale: str | None = None) -> Layer:
        """A linear layer and the LayerScale ``scale`` behind it, where there is one."""
        self._claim(name, {"Linear"}, "not a plain linear layer")
        factor = None
        if scale is not None and self._is(scale, {"LayerScale"}):
            self._claim(scale, {"LayerScale"}, "")
            factor = self._tensor(f"{scale}.gamma")
        elif scale is not None:
            self._nothing(scale, "neither absent nor a LayerScale")
        weight = self._tensor(f"{name}.weight")
        return Layer(weight=weight, bias=self._bias(name), scale=factor)

    def _norm(self, name: str) -> Norm:
        norm = self._claim(name, _NORMS, "another norm than LayerNorm")
        width = norm.normalized_shape[-1]
        weight, bias = f"{name}.weight", f"{name}.bias"
        return Norm(
            name=name,
            weight=self._tensor(weight) if weight in self.tensors else torch.ones(width),
            bias=self._tensor(bias) if bias in self.tensors else torch.zeros(width),
            eps=float(norm.eps),
        )

    def _activation(self, name: str) -> Activation:
        module = self._claim(name, set(_ACTIVATIONS), "no table for this activation")
        found = _ACTIVATIONS[_kind(module)]
        if found is Activation.GELU and getattr(module, "approximate", "none") == "tanh":
            return Activation.GELU_TANH
        return found

    def _finish(self) -> None:
        """Refuse what nothing claimed."""
        if self.left_tensors:
            name = min(self.left_tensors)
            more = f" ({len(self.left_tensors)} such tensors)" * (len(self.left_tensors) > 1)
            raise PotvitError(f"{name} has no integer form here: no part of the network reads it"
                              f"{more}")  # fmt: skip
        if self.left_modules:
            name = min(self.left_modules)
            raise PotvitError(f"{name} ({_kind(self.modules[name])}) has no integer form here")
