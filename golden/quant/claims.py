"""Every part of a timm module claimed by the role it plays; what nobody claims is an error."""

from __future__ import annotations

from typing import Any

import torch

from golden.ops.gelu import Activation
from golden.quant.vit.parameters import Layer, Norm
from golden.support.errors import PotvitError

#: Modules that pass their input on in evaluation, by class name.
PASSING = {"Identity", "Dropout", "DropPath", "PatchDropout"}
#: Modules that only hold others.
HOLDING = {"Sequential"}
NORMS = {"LayerNorm", "LayerNormFp32"}
_ACTIVATIONS = {
    "GELU": Activation.GELU,
    "GELUTanh": Activation.GELU_TANH,
    "QuickGELU": Activation.QUICK_GELU,
    "ReLU": Activation.RELU,
    "SiLU": Activation.SILU,
    "Swish": Activation.SILU,
}


def kind_of(module: Any) -> str:
    """Class name of a module, with its package where that is neither torch nor timm."""
    cls = type(module)
    known = cls.__module__.split(".")[0] in ("torch", "timm")
    return cls.__name__ if known else f"{cls.__module__}.{cls.__name__}"


class Claims:
    """Claims the parts of one module by name; a reader of a family derives from it.

    What it claims is taken off ``left_modules`` and ``left_tensors``; `finish` refuses the rest.
    """

    def __init__(self, module: Any) -> None:
        self.module = module
        self.modules: dict[str, Any] = dict(module.named_modules(remove_duplicate=False))
        tensors = [
            *module.named_parameters(remove_duplicate=False),
            *module.named_buffers(remove_duplicate=False),
        ]
        self.tensors: dict[str, torch.Tensor] = dict(tensors)
        self.left_modules, self.left_tensors = set(self.modules) - {""}, set(self.tensors)

    def patch_embed(self) -> Layer:
        """Take the patch embedding's convolution; its norm is left to the family."""
        name = "patch_embed"
        embed = self.claim(name, {"PatchEmbed"}, "another stem than one convolution")
        proj = self.claim(f"{name}.proj", {"Conv2d"}, "another layer than a convolution")
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
        return Layer(weight=self.tensor(f"{name}.proj.weight"), bias=self.bias(f"{name}.proj"))

    def mlp(self, name: str, scale: str | None = None) -> tuple[Layer, Activation, Layer]:
        """Take fc1, its activation and fc2, and the LayerScale ``scale`` behind if there is one."""
        self.claim(name, {"Mlp"}, "another kind of MLP")
        self.nothing(f"{name}.norm", "a norm inside the MLP")
        self.nothing(f"{name}.drop1", "")
        self.nothing(f"{name}.drop2", "")
        return (
            self.linear(f"{name}.fc1"),
            self.activation(f"{name}.act"),
            self.linear(f"{name}.fc2", scale),
        )

    def is_a(self, name: str, kinds: set[str]) -> bool:
        """Whether there is a module of that name and of one of ``kinds``."""
        return name in self.modules and kind_of(self.modules[name]) in kinds

    def claim(self, name: str, kinds: set[str], otherwise: str) -> Any:
        """Take a module of one of ``kinds`` (class names of torch or timm)."""
        if not self.is_a(name, kinds):
            found = kind_of(self.modules[name]) if name in self.modules else "nothing"
            raise PotvitError(f"{name} ({found}) has no integer form here: {otherwise}")
        self.left_modules.discard(name)
        return self.modules[name]

    def holder(self, name: str) -> None:
        """Take a module that only holds others, one behind the other."""
        self.claim(name, HOLDING, "blocks that do not follow one another")

    def nothing(self, name: str, what: str) -> None:
        """Take a module that passes its input on, if it is there."""
        if name in self.modules:
            self.claim(name, PASSING, what or "not known to pass its input on")

    def tensor(self, name: str) -> torch.Tensor:
        """Take a parameter or buffer, in float32."""
        self.left_tensors.discard(name)
        return self.tensors[name].detach().float()

    def bias(self, layer: str) -> torch.Tensor | None:
        """Take a layer's bias, if it has one."""
        name = f"{layer}.bias"
        return self.tensor(name) if name in self.tensors else None

    def linear(self, name: str, scale: str | None = None) -> Layer:
        """A linear layer and the LayerScale ``scale`` behind it, where there is one."""
        self.claim(name, {"Linear"}, "not a plain linear layer")
        factor = None
        if scale is not None and self.is_a(scale, {"LayerScale"}):
            self.claim(scale, {"LayerScale"}, "")
            factor = self.tensor(f"{scale}.gamma")
        elif scale is not None:
            self.nothing(scale, "neither absent nor a LayerScale")
        weight = self.tensor(f"{name}.weight")
        return Layer(weight=weight, bias=self.bias(name), scale=factor)

    def norm(self, name: str) -> Norm:
        """Take a LayerNorm."""
        norm = self.claim(name, NORMS, "another norm than LayerNorm")
        width = norm.normalized_shape[-1]
        weight, bias = f"{name}.weight", f"{name}.bias"
        return Norm(
            name=name,
            weight=self.tensor(weight) if weight in self.tensors else torch.ones(width),
            bias=self.tensor(bias) if bias in self.tensors else torch.zeros(width),
            eps=float(norm.eps),
        )

    def activation(self, name: str) -> Activation:
        """Take an activation that has a table."""
        module = self.claim(name, set(_ACTIVATIONS), "no table for this activation")
        found = _ACTIVATIONS[kind_of(module)]
        if found is Activation.GELU and getattr(module, "approximate", "none") == "tanh":
            return Activation.GELU_TANH
        return found

    def finish(self) -> None:
        """Refuse what nothing claimed."""
        if self.left_tensors:
            name = min(self.left_tensors)
            more = f" ({len(self.left_tensors)} such tensors)" * (len(self.left_tensors) > 1)
            raise PotvitError(f"{name} has no integer form here: no part of the network reads it"
                              f"{more}")  # fmt: skip
        if self.left_modules:
            name = min(self.left_modules)
            raise PotvitError(f"{name} ({kind_of(self.modules[name])}) has no integer form here")
