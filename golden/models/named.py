"""From a request's name to a timm model: whose it is, and what timm and the file say of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.catalogue.models import MODELS, ModelSpec
from golden.catalogue.preprocess import Preprocess
from golden.catalogue.torchvision_shim import ensure_torchvision
from golden.models.checkpoint import Checkpoint
from golden.models.request import TIMM, ModelRequest, short_name, unknown
from golden.support.errors import PotvitError

#: timm's own arguments that a training run or an exported configuration may carry.
_CARRIED = ("num_classes", "global_pool", "img_size", "in_chans")


def named_spec(request: ModelRequest, checkpoint: Checkpoint | None) -> ModelSpec:
    """The model before the weights are looked at.

    Raises:
        PotvitError: nobody knows the name, or a checkpoint given as the model names none.
    """
    if request.model in MODELS:
        return MODELS[request.model]
    if request.model.startswith(TIMM):
        timm_name = request.model.removeprefix(TIMM)
        settings: Mapping[str, Any] = {}
    elif request.path is not None and checkpoint is not None:
        if checkpoint.arch is None:
            raise PotvitError(
                f"{checkpoint.path} does not say its architecture: give --model timm:NAME and "
                f"--weights {checkpoint.path}"
            )
        timm_name = checkpoint.arch.removeprefix("timm/").removeprefix("hf-hub:timm/")
        settings = checkpoint.settings
    else:
        raise unknown(request.model)
    config = _timm_config(timm_name)
    return ModelSpec(
        name=short_name(request.model),
        timm_name=timm_name,
        preprocess=_preprocess(timm_name, config, settings),
        num_classes=int(config.num_classes or 0),
        arguments=_carried(settings),
        labels=_label_names(settings),
    )


def _timm_config(timm_name: str) -> Any:
    """Timm's pretrained configuration of a model; ``PotvitError`` where it knows none."""
    ensure_torchvision()
    import timm

    architecture = timm_name.partition(".")[0]
    if not timm.is_model(architecture):
        import difflib

        close = difflib.get_close_matches(architecture, timm.list_models(), n=3)
        hint = f": did you mean {', '.join(close)}?" if close else ""
        raise PotvitError(f"timm knows no model {architecture!r}{hint}")
    try:
        config = timm.get_pretrained_cfg(timm_name, allow_unregistered=True)
    except RuntimeError:  # an unknown tag behind the dot
        config = None
    if config is None:
        tags = timm.list_pretrained(f"{architecture}.*")
        names = f": it has {', '.join(tags)}" if tags else ""
        raise PotvitError(f"timm knows no weights {timm_name!r}{names}")
    return config


def _preprocess(timm_name: str, config: Any, settings: Mapping[str, Any]) -> Preprocess:
    """Timm's own way for these weights; a run's or an export's settings stand above it."""
    exported = settings.get("pretrained_cfg")
    said = {**(exported if isinstance(exported, Mapping) else {}), **settings}

    def value(name: str) -> Any:
        # timm's training script records what nobody said as None, or as an empty word.
        return said.get(name) or getattr(config, name)

    size = value("input_size")
    if said.get("img_size"):
        size = (len(value("mean")), said["img_size"], said["img_size"])
    if size[1] != size[2]:
        raise PotvitError(f"{timm_name} takes pictures of {size[1]} x {size[2]}: they must be "
                          "square")  # fmt: skip
    if value("crop_mode") not in (None, "center"):
        raise PotvitError(f"{timm_name} is evaluated with crop mode {value('crop_mode')!r}: only "
                          "a crop of the centre is known here, give --crop-pct")  # fmt: skip
    try:
        return Preprocess(
            size=int(size[1]),
            crop_pct=float(value("crop_pct") or 0.875),
            interpolation=str(value("interpolation")),
            mean=tuple(map(float, value("mean"))),
            std=tuple(map(float, value("std"))),
        )
    except (TypeError, ValueError) as error:
        raise PotvitError(f"{timm_name}: its pictures cannot be prepared ({error})") from None


def _carried(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of ``create_model`` that a training run or an export recorded."""
    found: dict[str, Any] = {}
    for name in ("model_args", "model_kwargs"):
        value = settings.get(name)
        found |= value if isinstance(value, Mapping) else {}
    found |= {name: settings[name] for name in _CARRIED if settings.get(name) is not None}
    if isinstance(settings.get("gp"), str):
        found["global_pool"] = settings["gp"]
    return found


def _label_names(settings: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Class names of an export; descriptions where it has them."""
    exported = settings.get("pretrained_cfg")
    said = {**(exported if isinstance(exported, Mapping) else {}), **settings}
    names = said.get("label_names")
    if not isinstance(names, list | tuple) or not names:
        return None
    described = said.get("label_descriptions")
    described = described if isinstance(described, Mapping) else {}
    return tuple(str(described.get(name, name)) for name in names)
