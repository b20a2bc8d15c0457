"""What a training run needs to go on: one file, complete or not there."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from golden.support.errors import PotvitError
from golden.support.whole_file import write_whole

Tensors = dict[str, torch.Tensor]


@dataclass(kw_only=True)
class State:
    """A run between two epochs.

    ``tensors``: by group and name, ``now/`` parameters, ``moves/`` of exponents, Adam's ``first/``
    and ``second/`` moments; ``best/`` and ``best_moves/`` of the epoch ``best`` with the least
    objective. ``history`` has an entry per epoch, the start included.
    """

    run: str
    epoch: int = 0
    steps: int = 0
    best: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    tensors: Tensors = field(default_factory=dict)

    def group(self, prefix: str) -> Tensors:
        """The tensors of one group by their names."""
        mark = f"{prefix}/"
        return {k.removeprefix(mark): v for k, v in self.tensors.items() if k.startswith(mark)}

    def keep(self, prefix: str, values: Tensors) -> None:
        """Replace one group by copies."""
        mark = f"{prefix}/"
        self.tensors = {k: v for k, v in self.tensors.items() if not k.startswith(mark)}
        self.tensors |= {mark + k: v.detach().cpu().clone() for k, v in values.items()}


def write_state(path: Path, state: State) -> None:
    """Write ``state`` to ``path``, whole or not at all.

    Raises:
        PotvitError: the place cannot be written.
    """
    plain = {
        "run": state.run,
        "epoch": state.epoch,
        "steps": state.steps,
        "best": state.best,
        "history": state.history,
    }
    tensors = {name: value.contiguous() for name, value in sorted(state.tensors.items())}
    try:
        write_whole(path, save(tensors, metadata={"state": json.dumps(plain)}))
    except OSError as error:
        raise PotvitError(f"checkpoint {path} cannot be written ({error.strerror})") from None


def read_state(path: Path, run: str) -> State:
    """Read the state of ``run``, a name for all that decides its numbers.

    Raises:
        PotvitError: there is none, it is damaged, or another run's.
    """
    if not path.is_file():
        raise PotvitError(f"nothing to resume: {path} does not exist")
    try:
        with safe_open(path, "pt") as stored:
            plain = json.loads(stored.metadata()["state"])
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        state = State(**plain, tensors=tensors)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise PotvitError(f"checkpoint {path} is damaged ({error}): train anew") from None
    if state.run != run:
        raise PotvitError(
            f"checkpoint {path} is of another run (model, pictures, options or version differ): "
            "train anew, or give the same ones"
        )
    return state
