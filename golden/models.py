"""The float models: which there are, how each sees a picture, and where its weights come from."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from golden.errors import PotvitError
from golden.preprocess import Preprocess
from golden.pretrained import fetch_pretrained
from golden.random_weights import randomize
from golden.torchvision_shim import ensure_torchvision
from golden.weights import check_weights, file_sha256, read_weights, state_sha256

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# FQ-ViT's settings: DeiT crops 0.875 and ViT 0.9 with mean and deviation one half.
_DEIT = Preprocess(size=224, crop_pct=0.875, mean=_IMAGENET_MEAN, std=_IMAGENET_STD)
_VIT = Preprocess(size=224, crop_pct=0.9, mean=(0.5,) * 3, std=(0.5,) * 3)
_DIGITS = Preprocess(size=64, crop_pct=1.0, mean=(0.5,), std=(0.5,))

#: Weights of the embedded model, part of the package.
DIGITS_WEIGHTS = Path(__file__).parent / "assets" / "vit_digits.safetensors"
#: Seed of the weights used when no others can be had.
RANDOM_SEED = 0


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A model the project knows.

    Attributes:
        name: short name, as the command line takes it.
        timm_name: timm's name, or None for the project's own model.
        preprocess: picture to input pixels.
        num_classes: length of the logits.
    """

    name: str
    timm_name: str | None
    preprocess: Preprocess
    num_classes: int = 1000


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A float model in evaluation mode and the origin of its weights.

    Attributes:
        module: timm VisionTransformer, float32, gradients off.
        spec: what was loaded.
        weights_source: "file:<name>", "data", "pretrained", "bundled" or "random seed <n>"; every
            report repeats it.
        weights_sha256: digest of the weights file, or of the tensors where there is no file.
    """

    module: Any
    spec: ModelSpec
    weights_source: str
    weights_sha256: str


MODELS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        ModelSpec(name="deit_tiny", timm_name="deit_tiny_patch16_224", preprocess=_DEIT),
        ModelSpec(name="deit_small", timm_name="deit_small_patch16_224", preprocess=_DEIT),
        ModelSpec(name="deit_base", timm_name="deit_base_patch16_224", preprocess=_DEIT),
        ModelSpec(name="vit_base", timm_name="vit_base_patch16_224", preprocess=_VIT),
        ModelSpec(name="vit_large", timm_name="vit_large_patch16_224", preprocess=_VIT),
        ModelSpec(name="vit_digits", timm_name=None, preprocess=_DIGITS, num_classes=10),
    )
}


def model_spec(name: str) -> ModelSpec:
    """Look a model up by its short name.

    Raises:
        PotvitError: no such model; the message lists the known ones.
    """
    if name not in MODELS:
        raise PotvitError(f"unknown model {name!r}: choose one of {', '.join(MODELS)}")
    return MODELS[name]


def build_module(spec: ModelSpec) -> Any:
    """The model's float module with fresh weights, in evaluation mode, gradients off."""
    ensure_torchvision()
    import timm
    from timm.models.vision_transformer import VisionTransformer

    module: nn.Module
    if spec.timm_name is not None:
        module = timm.create_model(spec.timm_name, pretrained=False)
    else:
        # 17 tokens, three heads of 16: small enough to simulate in seconds.
        module = VisionTransformer(
            img_size=64,
            patch_size=16,
            in_chans=1,
            num_classes=spec.num_classes,
            embed_dim=48,
            depth=3,
            num_heads=3,
        )
    return module.eval().requires_grad_(False)


def load_model(name: str, weights: Path | None = None, *, quiet: bool = False) -> LoadedModel:
    """Build a model and fill it from the first source that there is.

    Order: `weights`, the package's own file (vit_digits), ``$POTVIT_DATA/<timm name>.safetensors``,
    the pretrained download (given up within 10 s), seeded random weights. Anything but real
    weights is announced in one line on standard error unless `quiet`.

    Raises:
        PotvitError: unknown model; unreadable, ill-fitting or non-finite weights; POTVIT_DATA
            names no folder.
    """
    spec = model_spec(name)
    module = build_module(spec)
    path, source = _find_weights(spec, weights)
    if path is not None:
        state = read_weights(path)
        check_weights(state, module.state_dict(), f"weights file {path}")
        module.load_state_dict(state)
        digest = file_sha256(path)
    else:
        source = f"random seed {RANDOM_SEED}"
        randomize(module, spec.preprocess, RANDOM_SEED)
        digest = state_sha256(module.state_dict())
        if not quiet:
            print(
                f"{name}: no weights found, using {source} "
                f"(give --weights FILE or set POTVIT_DATA for real ones)",
                file=sys.stderr,
            )
    return LoadedModel(module=module, spec=spec, weights_source=source, weights_sha256=digest)


def data_folder() -> Path | None:
    """The folder that POTVIT_DATA names, or None where the variable is unset or empty.

    Raises:
        PotvitError: it names something that is no folder.
    """
    value = os.environ.get("POTVIT_DATA", "")
    if not value:
        return None
    folder = Path(value)
    if not folder.is_dir():
        raise PotvitError(f"POTVIT_DATA={value} is no folder: correct it or unset it")
    return folder


def class_names(spec: ModelSpec) -> list[str]:
    """A short name for every class, in label order."""
    if spec.timm_name is None:
        return [str(digit) for digit in range(spec.num_classes)]
    ensure_torchvision()
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    return [info.index_to_description(label) for label in range(spec.num_classes)]


def _find_weights(spec: ModelSpec, weights: Path | None) -> tuple[Path | None, str]:
    """First weights file in the order of `load_model`, and what to call it."""
    if weights is not None:
        return weights, f"file:{weights.name}"
    if spec.timm_name is None:
        return DIGITS_WEIGHTS, "bundled"
    if (folder := data_folder()) is not None:
        candidate = folder / f"{spec.timm_name}.safetensors"
        if candidate.is_file():
            return candidate, "data"
    ensure_torchvision()
    return fetch_pretrained(spec.timm_name), "pretrained"
