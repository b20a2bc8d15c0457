"""The float models, built and filled from the first source of weights that there is."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from golden.catalogue.models import ModelSpec
from golden.catalogue.torchvision_shim import ensure_torchvision
from golden.models.architecture import create, fitted_spec
from golden.models.checkpoint import Checkpoint, read_checkpoint
from golden.models.named import named_spec
from golden.models.pretrained import fetch_pretrained
from golden.models.random_weights import randomize
from golden.models.request import ModelRequest
from golden.models.weights import check_weights, file_sha256, state_sha256
from golden.support.locations import data_folder
from golden.support.notes import note

#: Weights of the embedded models, part of the package: ``<name>.safetensors``.
ASSETS = Path(__file__).parent.parent / "assets"
#: Seed of the weights used when no others can be had.
RANDOM_SEED = 0


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A float model in evaluation mode and the origin of its weights.

    Attributes:
        module: timm VisionTransformer or SwinTransformer, float32, gradients off.
        spec: what was loaded.
        weights_source: "file:<name>", "data", "pretrained", "bundled" or "random seed <n>"; every
            report repeats it. A file with several sets of weights: "file:<name>[<key>]".
        weights_sha256: digest of the weights file, or of the tensors where there is no file.
    """

    module: Any = field(repr=False)
    spec: ModelSpec
    weights_source: str
    weights_sha256: str


@dataclass(frozen=True, kw_only=True)
class FoundModel:
    """A model whose shape is settled; `load_found` builds and fills it.

    Attributes:
        spec: name, architecture, pictures and classes.
        checkpoint: its weights, or None where there are only random ones.
        source: what reports call them.
        request: what was asked for.
    """

    spec: ModelSpec
    checkpoint: Checkpoint | None
    source: str
    request: ModelRequest


def find_model(request: ModelRequest) -> FoundModel:
    """Settle which network and which weights a request means.

    Weights come from the first of: `request.weights`, the checkpoint that the model names, the
    package's own file (vit_digits, swin_digits), ``$POTVIT_DATA/<timm name>.safetensors``, the
    pretrained download (given up within 10 s); else there are none.

    Raises:
        PotvitError: unknown model; unreadable weights; shapes that contradict the request;
            POTVIT_DATA names no folder.
    """
    checkpoint = None
    source = ""
    if request.path is not None:
        checkpoint = read_checkpoint(request.path)
        source = f"file:{checkpoint.path.name}"
    spec = named_spec(request, checkpoint)
    if request.weights is not None or checkpoint is None:
        path, source = _find_weights(spec, request.weights)
        checkpoint = None if path is None else read_checkpoint(path)
    spec = fitted_spec(spec, request, checkpoint)
    if checkpoint is None:
        source = f"random seed {RANDOM_SEED}"
    elif checkpoint.key:
        source += f"[{checkpoint.key}]"
    return FoundModel(spec=spec, checkpoint=checkpoint, source=source, request=request)


def bundled_weights(name: str) -> Path:
    """Where the package keeps the weights of an embedded model, vit_digits or swin_digits."""
    return ASSETS / f"{name}.safetensors"


def build_module(spec: ModelSpec) -> Any:
    """The model's float module with fresh weights, in evaluation mode, gradients off."""
    ensure_torchvision()
    from timm.models.swin_transformer import SwinTransformer
    from timm.models.vision_transformer import VisionTransformer

    if spec.timm_name is not None:
        module = create(spec)
    elif spec.name == "swin_digits":
        # 8 x 8 patches in four shifted windows, then 4 x 4 in one; heads of 16.
        module = SwinTransformer(
            img_size=64,
            patch_size=8,
            in_chans=1,
            num_classes=spec.num_classes,
            embed_dim=32,
            depths=(2, 2),
            num_heads=(2, 4),
            window_size=4,
            drop_path_rate=0.0,
        )
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
    """Find and load a model of which nothing but the name (and a weights file) is said.

    Raises:
        PotvitError: as `find_model` and `load_found` do.
    """
    return load_found(find_model(ModelRequest(model=name, weights=weights)), quiet=quiet)


def load_found(found: FoundModel, *, quiet: bool = False) -> LoadedModel:
    """Build a model and fill it.

    What was taken from a file that holds more than the tensors, and that weights are random, is
    said in one line on standard error unless `quiet`.

    Raises:
        PotvitError: ill-fitting or non-finite weights.
    """
    spec, checkpoint = found.spec, found.checkpoint
    module = build_module(spec)
    if checkpoint is not None:
        state, notes = _adapted(checkpoint, module, found.request)
        check_weights(state, module.state_dict(), f"weights file {checkpoint.path}")
        module.load_state_dict(state)
        digest = file_sha256(checkpoint.path)
        if checkpoint.sharded:
            digest = state_sha256(state)
        if not quiet and (notes or not checkpoint.plain):
            note("; ".join([checkpoint.describe(), *notes]))
    else:
        randomize(module, spec.preprocess, RANDOM_SEED)
        digest = state_sha256(module.state_dict())
        if not quiet:
            note(
                f"{spec.name}: no weights found, using {found.source} "
                "(give --weights FILE or set POTVIT_DATA for real ones)"
            )
    return LoadedModel(module=module, spec=spec, weights_source=found.source, weights_sha256=digest)


def _adapted(
    checkpoint: Checkpoint, module: Any, request: ModelRequest
) -> tuple[dict[str, torch.Tensor], list[str]]:
    """The file's tensors under the module's names and shapes, and what that took.

    timm's own filter renames what it knows of the original authors' files, and resamples the
    position table where the user wants another picture size than the file's.
    """
    state, wanted = dict(checkpoint.state), module.state_dict()
    notes = []
    if request.features is not None:
        heads = [name for name in state if name.startswith(("head.", "head_dist."))]
        for name in heads:
            del state[name]
        if heads:
            notes.append("its classifier is left out (--features)")
    differing = {n for n in state if n not in wanted or state[n].shape != wanted[n].shape}
    table = wanted.get("pos_embed")
    resized = request.img_size is not None and "pos_embed" in differing and table is not None
    if differing & _renamed(state) or resized:
        from timm.models.vision_transformer import checkpoint_filter_fn

        try:
            state = dict(checkpoint_filter_fn(state, module, adapt_layer_scale=True))
        except Exception as error:  # whatever shapes timm's filter does not expect
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            notes.append(f"timm's filter could not convert it ({reason})")
        else:
            notes.append("position table resampled" if resized else "names converted to timm's")
    return state, notes


def _renamed(state: dict[str, torch.Tensor]) -> set[str]:
    """Names of the original authors that timm's filter converts."""
    own = {n for n in state if ".gamma_" in n or "pre_logits" in n or ".mlp.w12." in n
           or ".mlp.w3." in n}  # fmt: skip
    return own | ({"mask_token", "register_tokens"} & set(state))


def _find_weights(spec: ModelSpec, weights: Path | None) -> tuple[Path | None, str]:
    """First weights file in the order of `load_model`, and what to call it."""
    if weights is not None:
        return weights, f"file:{weights.name}"
    if spec.timm_name is None:
        return bundled_weights(spec.name), "bundled"
    if (folder := data_folder()) is not None:
        candidate = folder / f"{spec.timm_name}.safetensors"
        if candidate.is_file():
            return candidate, "data"
    ensure_torchvision()
    return fetch_pretrained(spec.timm_name), "pretrained"
