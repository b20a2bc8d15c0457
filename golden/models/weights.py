"""Checking float weights against a module, and naming them by their digest."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch

from golden.support.errors import PotvitError

StateDict = dict[str, torch.Tensor]


def check_weights(found: StateDict, wanted: Mapping[str, torch.Tensor], origin: str) -> None:
    """Compare names and shapes with the model's and refuse what is not finite.

    Raises:
        PotvitError: names the first tensor that is missing, unknown, of another shape, or holds
            NaN or infinity; `origin` says where it came from.
    """
    for name, tensor in wanted.items():
        if name not in found:
            raise PotvitError(f"{origin}: tensor {name} is missing")
        if found[name].shape != tensor.shape:
            raise PotvitError(
                f"{origin}: tensor {name} has shape {list(found[name].shape)}, "
                f"the model needs {list(tensor.shape)}"
            )
    for name, tensor in found.items():
        if name not in wanted:
            raise PotvitError(f"{origin}: tensor {name} is unknown to the model")
        if not bool(torch.isfinite(tensor).all()):
            raise PotvitError(f"{origin}: tensor {name} holds NaN or infinity")


def file_sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def state_sha256(state: Mapping[str, torch.Tensor]) -> str:
    """Hex digest of names, shapes and float32 values, for weights that lie in no file."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().float().contiguous()
        digest.update(f"{name}{list(tensor.shape)}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
