"""The float models: which there are, how each sees a picture, and where its weights come from."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from golden.catalogue.models import ModelSpec, model_spec
from golden.catalogue.torchvision_shim import ensure_torchvision
from golden.models.pretrained import fetch_pretrained
from golden.models.random_weights import randomize
from golden.models.weights import check_weights, file_sha256, read_weights, state_sha256
from golden.support.locations import data_folder

#: Weights of the embedded model, part of the package.
DIGITS_WEIGHTS = Path(__file__).parent.parent / "assets" / "vit_digits.safetensors"
#: Seed of the weights used when no others can be had.
RANDOM_SEED = 0


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

    module: Any = field(repr=False)
    spec: ModelSpec
    weights_source: str
    weights_sha256: str


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
