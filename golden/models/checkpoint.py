"""The network's tensors in whatever a training run left on disk.

timm's own precedence: weights averaged over training (EMA) before raw ones. What was taken, and
from where, is one line for the user: two sets of weights in one file are a choice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from golden.models.weight_sets import AVERAGED, choose_set
from golden.models.weights import StateDict
from golden.models.weights_file import (
    EXTRA,
    IN_FOLDER,
    LANDMARK,
    is_number,
    is_state,
    read_content,
    weights_file,
)
from golden.support.errors import PotvitError

#: Components that wrappers of a module insert into the keys.
WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
#: Counters of training that no forward pass reads, where they are no floats.
BOOKKEEPING = ("n_averaged", "num_batches_tracked", "initted", "step")
#: Parts of a training module that are no part of the network.
TRAINING = re.compile(r"(criterion|loss\w*|\w*metrics?|(train|val|valid|test)_\w+)\.")
#: Other packages' names for the first layer.
FOREIGN = {
    "embeddings.patch_embeddings.projection.weight": "Hugging Face transformers",
    "conv_proj.weight": "torchvision",
    "patch_embed.projection.weight": "mmpretrain",
    "visual.conv1.weight": "OpenAI's CLIP",
}


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Float tensors under timm's names, and what the file says about them.

    Attributes:
        path: the file (of a sharded checkpoint, its index).
        state: tensors in float32.
        key: where in the file they were, such as "state_dict_ema"; "" for the top level.
        prefix: what was removed in front of every name.
        passed: other sets of weights in the file, by key.
        dropped: tensors left out because no forward pass reads them.
        arch: timm's name of the architecture, where the file gives it.
        settings: what the run was started with (timm's ``args``, or ``config.json``).
    """

    path: Path
    state: StateDict
    key: str = ""
    prefix: str = ""
    passed: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    arch: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def describe(self) -> str:
        """One line on what was taken."""
        line = f"weights {self.path}: {len(self.state)} tensors"
        if self.key:
            line += f" of {self.key!r}"
        if self.passed:
            line += f" (not {', '.join(map(repr, self.passed))})"
        if self.prefix:
            line += f", without {self.prefix!r} in front of their names"
        if self.dropped:
            line += f", left out: {', '.join(self.dropped)}"
        return line

    @property
    def sharded(self) -> bool:
        """True where ``path`` is an index of several files."""
        return self.path.suffix == ".json"

    @property
    def plain(self) -> bool:
        """True where the file is nothing but the network's tensors: there is nothing to say."""
        return not (self.key or self.prefix or self.passed or self.dropped)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a .safetensors file, a pickle of ``torch.save``, or the index of a sharded one.

    A folder stands for the weights file in it. Pickles are read without running anything of
    theirs (`golden.models.safe_pickle`).

    Raises:
        PotvitError: no such file, another kind of file, a damaged one, or no weights in it.
    """
    path = weights_file(path)
    found = read_content(path)
    settings, arch = _settings(found, path)
    key, tensors, passed = choose_set(found, path)
    state = {
        _unwrapped(str(k)): v
        for k, v in tensors.items()
        if isinstance(v, torch.Tensor) and not str(k).endswith(EXTRA)
    }
    state, prefix, dropped = _stripped(state, path)
    noted = (str(k) for k, v in tensors.items() if is_number(v) and not str(k).endswith(EXTRA))
    for name, value in state.items():
        if not value.is_floating_point():
            kind = str(value.dtype).removeprefix("torch.")
            raise PotvitError(f"weights file {path}: tensor {name} is {kind}, not floating point")
    return Checkpoint(
        path=path,
        state=_floats(state, path),
        key=key,
        prefix=prefix,
        passed=passed,
        dropped=(*dropped, *noted),
        arch=arch,
        settings=settings,
    )


def _floats(state: StateDict, path: Path) -> StateDict:
    """Every tensor as float32; ``PotvitError`` for one that is larger than the memory."""
    try:
        return {name: value.detach().float() for name, value in state.items()}
    except (RuntimeError, MemoryError):
        name = max(state, key=lambda name: state[name].numel())
        shape = list(state[name].shape)
        raise PotvitError(
            f"weights file {path}: tensor {name} of shape {shape} does not fit the memory"
        ) from None


def _unwrapped(name: str) -> str:
    """A tensor's name without what wrappers of modules put into it."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def _stripped(state: StateDict, path: Path) -> tuple[StateDict, str, tuple[str, ...]]:
    """The tensors of the network among those of a training module, without their prefix."""
    dropped = [
        name
        for name, value in state.items()
        if name.rpartition(".")[2] in BOOKKEEPING and not value.is_floating_point()
    ]
    state = {name: value for name, value in state.items() if name not in dropped}
    prefixes = [n.removesuffix(LANDMARK) for n in state if f".{n}".endswith(f".{LANDMARK}")]
    if not prefixes:
        # Nothing of a vision transformer: the caller says which tensor it misses.
        _refuse_foreign(state, path)
        return state, "", tuple(dropped)
    averaged = [p for p in prefixes if set(p.split(".")) & set(AVERAGED)]
    prefix = (averaged or prefixes)[0]
    others = [p for p in prefixes if p != prefix]
    taken: StateDict = {}
    for name, value in state.items():
        other = next((o for o in others if o and name.startswith(o)), None)
        if other is None and name.startswith(prefix):
            taken[name.removeprefix(prefix)] = value
        elif other is None and "" not in others:
            if not TRAINING.match(name):
                raise PotvitError(
                    f"weights file {path}: tensor {name} lies outside {prefix!r}, where the vision "
                    "transformer is: what reads it would be left out, save the transformer alone"
                )
            dropped.append(name)
    dropped += [f"{other}*" for other in others if other]
    return taken, prefix, tuple(dropped)


def _refuse_foreign(state: StateDict, path: Path) -> None:
    for name in state:
        for key, package in FOREIGN.items():
            if name.endswith(key):
                raise PotvitError(
                    f"weights file {path} names its tensors as {package} does ({name}): convert "
                    "it to timm's names"
                )


def _settings(found: Any, path: Path) -> tuple[dict[str, Any], str | None]:
    """What the file, or ``config.json`` beside it, says about architecture and run."""
    settings: dict[str, Any] = {}
    config = path.parent / "config.json"
    if config.is_file() and path.name in (*IN_FOLDER, "model.safetensors"):
        try:
            read = json.loads(config.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise PotvitError(f"{config} is no readable JSON ({error})") from None
        if isinstance(read, dict):
            settings = read
    elif isinstance(found, Mapping) and not is_state(found):
        args = found.get("args")
        args = found.get("hyper_parameters") if args is None else args
        settings = dict(args) if isinstance(args, Mapping) else dict(getattr(args, "__dict__", {}))
        if isinstance(found.get("arch"), str):
            settings["architecture"] = found["arch"]
    named = (settings.get(key) for key in ("architecture", "arch", "model", "model_name"))
    return settings, next((name for name in named if isinstance(name, str)), None)
