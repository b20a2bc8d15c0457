"""Which of the sets of weights in a checkpoint is taken: timm's precedence, averaged ones first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from golden.models import safe_pickle
from golden.models.weights_file import LANDMARK, has_landmark, is_number, is_state
from golden.support.errors import PotvitError

#: Where frameworks keep the weights, averaged ones first; timm's four stand in timm's order.
AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "ema", "teacher")
RAW = ("state_dict", "model", "model_state_dict", "net", "network", "module", "weights",
       "student")  # fmt: skip
#: Wrappers around the dictionaries above (Composer).
OUTER = ("state",)


def choose_set(found: Any, path: Path) -> tuple[str, Mapping[str, torch.Tensor], tuple[str, ...]]:
    """Key, tensors and the keys of other sets of weights."""
    sets, unknown = dict(_sets(found)), _unknown_sets(found)
    if sets:
        key = next(iter(sets))
        # A file of bare tensors is one set; a nested key is named by its path.
        return key, sets[key], (*(k for k in sets if k != key), *unknown)
    if is_state(found):
        return "", found, ()
    if isinstance(found, safe_pickle.Inert):
        raise PotvitError(
            f"weights file {path} holds a whole pickled object ({found.origin}), which is not "
            "loaded: save its state_dict() instead"
        )
    if isinstance(found, Mapping):
        for key in (*AVERAGED, *RAW):
            if isinstance(found.get(key), safe_pickle.Inert):
                raise PotvitError(
                    f"weights file {path} holds a pickled {found[key].origin} under {key!r}, which "
                    "is not loaded: save its state_dict() instead"
                )
    _refuse_strangers(found, path)
    if unknown:
        raise PotvitError(
            f"weights file {path} holds tensors under {', '.join(map(repr, unknown))}, where no "
            "known framework keeps a model's: save that dictionary alone"
        )
    raise PotvitError(f"weights file {path} holds no dictionary of tensors")


def _refuse_strangers(found: Any, path: Path) -> None:
    """Name what stands among a transformer's tensors, or is no tensor where one should be."""
    if not isinstance(found, Mapping):
        return
    for key, value in found.items():
        name, stranger = str(key), not isinstance(value, torch.Tensor) and not is_number(value)
        if stranger and (has_landmark(found) or f".{name}".endswith(f".{LANDMARK}")):
            kind = value.origin if isinstance(value, safe_pickle.Inert) else type(value).__name__
            raise PotvitError(
                f"weights file {path} holds a {kind} as {name}, no plain tensor: save a "
                "state_dict() of floating-point tensors"
            )
    for key in (*AVERAGED, *RAW):
        _refuse_strangers(found.get(key), path)


def _unknown_sets(found: Any) -> tuple[str, ...]:
    """Keys of dictionaries of tensors that are nobody's known place for weights."""
    if not isinstance(found, Mapping):
        return ()
    known = (*AVERAGED, *RAW, *OUTER)
    return tuple(
        str(key)
        for key, value in found.items()
        if key not in known and isinstance(value, Mapping) and is_state(value)
    )


def _sets(found: Any) -> Iterator[tuple[str, Mapping[str, torch.Tensor]]]:
    """Every set of weights in a checkpoint, the one to take first."""
    if not isinstance(found, Mapping):
        return
    for key in (*AVERAGED, *RAW):
        value = found.get(key)
        if isinstance(value, Mapping) and is_state(value):
            yield key, value
        elif isinstance(value, Mapping):
            for inner, tensors in _sets(value):
                yield f"{key}.{inner}", tensors
    for key in OUTER:
        for inner, tensors in _sets(found.get(key)):
            yield f"{key}.{inner}", tensors
