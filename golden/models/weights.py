"""Reading and checking float weights from a file."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from golden.support.errors import PotvitError

StateDict = dict[str, torch.Tensor]


def read_weights(path: Path) -> StateDict:
    """All tensors of a .safetensors or .pth file, as float32 under timm's key names.

    A .pth checkpoint may keep its tensors under "model" or "state_dict", and keys may carry the
    "module." of a data-parallel run.

    Raises:
        PotvitError: no such file, another kind of file, or a damaged one.
    """
    if path.is_dir():
        raise PotvitError(f"weights file {path} is a folder: name the file in it")
    if not path.is_file():
        raise PotvitError(f"weights file {path} does not exist")
    suffix = path.suffix.lower()
    try:
        _refuse_other_content(path)
        if suffix == ".safetensors":
            found: Any = load_file(path)
        elif suffix in (".pth", ".pt", ".bin"):
            found = torch.load(path, map_location="cpu", weights_only=True)
        else:
            raise PotvitError(f"weights file {path} is neither .safetensors nor .pth")
    except PermissionError:
        raise PotvitError(f"weights file {path} may not be read: check its permissions") from None
    except SafetensorError as error:
        raise PotvitError(f"weights file {path} is damaged ({error}): get it again") from None
    except PotvitError:
        raise
    except Exception as error:  # torch.load raises whatever its unpickler meets
        reason = str(error).split(". ")[0].splitlines()[0] if str(error) else type(error).__name__
        raise PotvitError(
            f"weights file {path} cannot be read ({reason}): get it again or convert it to "
            ".safetensors"
        ) from None
    for wrapper in ("model", "state_dict"):
        if isinstance(found, Mapping) and isinstance(found.get(wrapper), Mapping):
            found = found[wrapper]
    if not isinstance(found, Mapping) or not all(
        isinstance(value, torch.Tensor) for value in found.values()
    ):
        raise PotvitError(f"weights file {path} holds no dictionary of tensors")
    for key, value in found.items():
        if not value.is_floating_point():
            kind = str(value.dtype).removeprefix("torch.")
            raise PotvitError(f"weights file {path}: tensor {key} is {kind}, not floating point")
    return {str(key).removeprefix("module."): value.float() for key, value in found.items()}


def _refuse_other_content(path: Path) -> None:
    """Name the two things that downloads leave in place of weights: a page, or a pointer."""
    with path.open("rb") as stream:
        start = stream.read(256).lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise PotvitError(f"weights file {path} is a web page, not weights: download it again")
    if start.startswith(b"version https://git-lfs"):
        raise PotvitError(f"weights file {path} is a Git LFS pointer: run `git lfs pull`")


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
