"""The models the project knows by a short name, and how each sees a picture."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from golden.catalogue.preprocess import Preprocess
from golden.support.errors import PotvitError

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


# FQ-ViT's settings: DeiT crops 0.875, Swin and ViT 0.9; ViT's mean and deviation are one half.
_DEIT = Preprocess(size=224, crop_pct=0.875, mean=_IMAGENET_MEAN, std=_IMAGENET_STD)


_VIT = Preprocess(size=224, crop_pct=0.9, mean=(0.5,) * 3, std=(0.5,) * 3)


_SWIN = Preprocess(size=224, crop_pct=0.9, mean=_IMAGENET_MEAN, std=_IMAGENET_STD)


_DIGITS = Preprocess(size=64, crop_pct=1.0, mean=(0.5,), std=(0.5,))


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A model: one of the catalogue, or one that a user named.

    Attributes:
        name: name in reports; the command line takes those of the catalogue.
        timm_name: timm's name, or None for the project's own models.
        preprocess: picture to input pixels.
        num_classes: length of the logits; 0 for a network that ends in features.
        arguments: of ``timm.create_model``, beside the name.
        labels: a name for every class; None for the data set's own.
    """

    name: str
    timm_name: str | None
    preprocess: Preprocess
    num_classes: int = 1000
    arguments: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[str, ...] | None = None


MODELS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        ModelSpec(name="deit_tiny", timm_name="deit_tiny_patch16_224", preprocess=_DEIT),
        ModelSpec(name="deit_small", timm_name="deit_small_patch16_224", preprocess=_DEIT),
        ModelSpec(name="deit_base", timm_name="deit_base_patch16_224", preprocess=_DEIT),
        ModelSpec(name="vit_base", timm_name="vit_base_patch16_224", preprocess=_VIT),
        ModelSpec(name="vit_large", timm_name="vit_large_patch16_224", preprocess=_VIT),
        *(
            ModelSpec(
                name=f"swin_{size}",
                timm_name=f"swin_{size}_patch4_window7_224",
                preprocess=_SWIN,
            )
            for size in ("tiny", "small", "base")
        ),
        ModelSpec(name="vit_digits", timm_name=None, preprocess=_DIGITS, num_classes=10),
        ModelSpec(name="swin_digits", timm_name=None, preprocess=_DIGITS, num_classes=10),
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
