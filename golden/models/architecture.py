"""From a named model and a checkpoint to a timm module of the right shape.

The file decides what it can: class count by the head's shape, picture size by the length of the
position table. What the user says stands above it, what timm's name says below.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch

from golden.catalogue.models import ModelSpec
from golden.catalogue.preprocess import Preprocess
from golden.catalogue.torchvision_shim import ensure_torchvision
from golden.models.checkpoint import Checkpoint
from golden.models.request import ModelRequest, read_labels
from golden.support.errors import PotvitError


def fitted_spec(spec: ModelSpec, request: ModelRequest, checkpoint: Checkpoint | None) -> ModelSpec:
    """The model as the weights and the request want it.

    Raises:
        PotvitError: timm cannot build it, it is neither a ViT nor a Swin, or what is said about it
            contradicts itself.
    """
    if spec.timm_name is None:
        _refuse_for_own(spec, request)
        return _with_labels(spec, request)
    arguments: dict[str, Any] = {**spec.arguments, **request.arguments}
    if request.img_size is not None:
        arguments["img_size"] = request.img_size
    with torch.device("meta"):
        module = create(replace(spec, arguments=arguments))
    if checkpoint is not None:
        arguments = _from_file(module, checkpoint, arguments, request)
    if request.features is not None:
        arguments["num_classes"] = 0
    classes = int(arguments.get("num_classes", module.num_classes))
    if classes == 0 and module.global_pool in ("token", ""):
        arguments["global_pool"] = "token" if request.features == "class" else ""
    with torch.device("meta"):
        module = create(replace(spec, arguments=arguments))
    if isinstance(module.patch_embed.img_size, tuple):
        size = module.patch_embed.img_size[0]
    else:
        size = spec.preprocess.size
    fitted = replace(
        spec,
        arguments=arguments,
        num_classes=classes,
        labels=spec.labels if spec.labels and len(spec.labels) == classes else None,
        preprocess=_said(replace(spec.preprocess, size=size), request),
    )
    if fitted.preprocess.channels != module.in_chans:
        raise PotvitError(
            f"{spec.name} takes {module.in_chans} channels, its mean and deviation have "
            f"{fitted.preprocess.channels}: give --mean and --std"
        )
    return _with_labels(fitted, request)


def _refuse_for_own(spec: ModelSpec, request: ModelRequest) -> None:
    for name in ("img_size", "features", "crop_pct", "interpolation", "mean", "std"):
        if getattr(request, name) is not None:
            flag = name.replace("_", "-")
            raise PotvitError(f"--{flag} is for timm's models: {spec.name} is the project's own")
    if request.arguments:
        raise PotvitError(f"--model-kwargs is for timm's models: {spec.name} is the project's own")


def _from_file(
    module: Any, checkpoint: Checkpoint, arguments: dict[str, Any], request: ModelRequest
) -> dict[str, Any]:
    """Class count and picture size as the file's shapes have them, where nobody said otherwise."""
    found = dict(arguments)
    state = checkpoint.state
    if "num_classes" not in request.arguments:
        head = state.get("head.weight", state.get("head.fc.weight"))
        found["num_classes"] = 0 if head is None else len(head)
        if head is None and "head.bias" in state:
            del found["num_classes"]
    table = state.get("pos_embed")
    grid = getattr(module.patch_embed, "grid_size", None)
    if table is None or table.ndim != 3 or module.pos_embed is None or grid is None:
        return found
    prefix = 0 if module.no_embed_class else module.num_prefix_tokens
    side = math.isqrt(max(0, table.shape[1] - prefix))
    fits = side and side * side == table.shape[1] - prefix
    said = request.img_size is not None or "img_size" in request.arguments
    if fits and (side, side) != tuple(grid) and not said:
        found["img_size"] = side * int(module.patch_embed.patch_size[0])
    return found


def _said(preprocess: Preprocess, request: ModelRequest) -> Preprocess:
    """What the request says about pictures, above all else."""
    names = ("crop_pct", "interpolation", "mean", "std")
    said = {n: v for n in names if (v := getattr(request, n)) is not None}
    try:
        return replace(preprocess, **said)
    except ValueError as error:
        raise PotvitError(f"the pictures' settings do not go together: {error}") from None


def _with_labels(spec: ModelSpec, request: ModelRequest) -> ModelSpec:
    if request.classes is None:
        return spec
    if spec.num_classes == 0:
        raise PotvitError(f"--classes {request.classes}: {spec.name} has no classifier")
    return replace(spec, labels=read_labels(request.classes, spec.num_classes))


def create(spec: ModelSpec) -> Any:
    """Timm's module of ``spec`` with fresh weights.

    Raises:
        PotvitError: timm refuses the arguments, or makes neither a VisionTransformer
            nor a SwinTransformer.
    """
    ensure_torchvision()
    import timm
    from timm.models.swin_transformer import SwinTransformer
    from timm.models.vision_transformer import VisionTransformer

    assert spec.timm_name is not None
    arguments = dict(spec.arguments)
    try:
        module = timm.create_model(spec.timm_name, pretrained=False, **arguments)
    except (TypeError, ValueError, AssertionError, RuntimeError, KeyError) as error:
        said = ", ".join(f"{k}={v!r}" for k, v in arguments.items())
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PotvitError(f"timm cannot build {spec.timm_name} with {said}: {reason}") from None
    if not isinstance(module, VisionTransformer | SwinTransformer):
        raise PotvitError(
            f"{spec.timm_name} is timm's {type(module).__name__}: only its VisionTransformer and "
            "its SwinTransformer have an integer form here"
        )
    return module
