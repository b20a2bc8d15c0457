"""What a user asks for when naming a model, and the name that reports give it.

A model is a short name of the catalogue, ``timm:NAME`` for any of timm's vision transformers, or
the path of a checkpoint that says its own architecture (timm's training loop and its export for
the hub do).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from golden.catalogue.models import MODELS
from golden.models.weights_file import PICKLES
from golden.support.errors import PotvitError

TIMM = "timm:"
FEATURES = ("all", "class")
#: Names of files that say nothing about their content: the folder's name is taken instead.
_ANONYMOUS = ("model", "pytorch_model", "checkpoint", "last", "best", "model_best")


@dataclass(frozen=True, kw_only=True)
class ModelRequest:
    """A model and everything that may be said about it; None where nothing is said.

    Attributes:
        model: short name, ``timm:NAME``, or the path of a checkpoint.
        weights: weights file, or a folder with one.
        classes: text file with one class name a line, in label order.
        img_size: side of the square picture, pixels; the file's where None.
        crop_pct, interpolation, mean, std: see `golden.catalogue.preprocess.Preprocess`.
        features: "all" or "class" for the final LayerNorm's output instead of a classifier.
        arguments: more arguments of ``timm.create_model``.
    """

    model: str
    weights: Path | None = None
    classes: Path | None = None
    img_size: int | None = None
    crop_pct: float | None = None
    interpolation: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    features: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> Path | None:
        """The checkpoint that ``model`` names, if it is a path."""
        if self.model in MODELS or self.model.startswith(TIMM):
            return None
        path = Path(self.model)
        looks = "/" in self.model or path.suffix.lower() in (*PICKLES, ".safetensors", ".json")
        return path if looks or path.exists() else None


def short_name(model: str) -> str:
    """The name of a model in reports and file names: without prefix, folder and suffix.

    Raises:
        PotvitError: it is neither in the catalogue nor of another form.
    """
    if model in MODELS:
        return model
    if model.startswith(TIMM):
        return model.removeprefix(TIMM)
    path = ModelRequest(model=model).path
    if path is None:
        raise unknown(model)
    path = path.resolve()
    stem = (
        path.name
        if path.is_dir()
        else re.sub(r"(\.(pth|tar|bin|index|safetensors))*$", "", path.stem)
    )
    if stem in _ANONYMOUS:
        stem = path.parent.name
    return re.sub(r"[^\w.-]+", "_", stem) or "checkpoint"


def unknown(model: str) -> PotvitError:
    """The error for a model that nobody knows."""
    close = difflib.get_close_matches(model, MODELS, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return PotvitError(
        f"unknown model {model!r}{hint}: choose one of {', '.join(MODELS)}, timm:NAME, or a "
        "checkpoint file that names its architecture"
    )


def read_labels(path: Path, count: int) -> tuple[str, ...]:
    """Class names, one a line in label order.

    Raises:
        PotvitError: no readable text, or another number of names than ``count``.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise PotvitError(f"class names {path} do not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise PotvitError(f"class names {path} are no readable text ({error})") from None
    while lines and not lines[-1].strip():
        lines.pop()
    names = tuple(line.strip() for line in lines)
    for number, name in enumerate(names, 1):
        if not name:
            raise PotvitError(f"class names {path} line {number}: a name is missing")
    if len(names) != count:
        raise PotvitError(f"class names {path} has {len(names)} lines, the model {count} classes")
    return names
