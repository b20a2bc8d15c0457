"""Weights files as they lie on disk: which file a path means, and what is in it.

A file is read by what it starts with, its suffix only says that it is meant as weights: downloads
and scripts call a pickle ``.safetensors`` and the other way round.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from golden.models import safe_pickle
from golden.models.weights import StateDict
from golden.support.errors import PotvitError

#: Entries of a state dictionary that modules add for themselves.
EXTRA = "_extra_state"
#: A key that every vision transformer of timm has.
LANDMARK = "patch_embed.proj.weight"
#: What stands for a NumPy number in a pickle that is read without NumPy.
_NUMPY_SCALARS = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
#: How a zip archive (``torch.save``) and a bare pickle (its older format) begin.
_PICKLED = (b"PK\3\4", b"\x80")
#: Suffixes of what ``torch.save`` writes.
PICKLES = (".pth", ".pt", ".bin", ".ckpt", ".tar")
#: Files that a folder of weights may hold, the first one found is taken.
IN_FOLDER = ("model.safetensors.index.json", "model.safetensors", "pytorch_model.bin.index.json",
             "pytorch_model.bin")  # fmt: skip


def weights_file(path: Path) -> Path:
    """The weights file that ``path`` names; ``PotvitError`` where there is none."""
    if path.is_dir():
        for name in IN_FOLDER:
            if (path / name).is_file():
                return path / name
        raise PotvitError(f"weights file {path} is a folder without any of {', '.join(IN_FOLDER)}: "
                          "name the file in it")  # fmt: skip
    if not path.is_file():
        raise PotvitError(f"weights file {path} does not exist")
    return path


def read_content(path: Path) -> Any:
    """The file's content; anything a reader raises becomes one line."""
    suffix = path.suffix.lower()
    try:
        start = _start(path)
        if suffix == ".json":
            return _shards(path)
        if suffix in (".safetensors", *PICKLES):
            safe = _is_safetensors(start)
            pickled = not safe and (suffix in PICKLES or start.startswith(_PICKLED))
            return safe_pickle.load(path) if pickled else load_file(path)
        if suffix in (".npz", ".npy"):
            raise PotvitError(f"weights file {path} is NumPy's: load it with timm and save the "
                              "state_dict() as .safetensors")  # fmt: skip
        raise PotvitError(f"weights file {path} is neither .safetensors nor .pth "
                          f"(nor {', '.join(PICKLES[1:])})")  # fmt: skip
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


def _start(path: Path) -> bytes:
    """The first bytes; refused are two things that downloads leave: a page, or a pointer."""
    with path.open("rb") as stream:
        start = stream.read(256)
    text = start.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise PotvitError(f"weights file {path} is a web page, not weights: download it again")
    if text.startswith(b"version https://git-lfs"):
        raise PotvitError(f"weights file {path} is a Git LFS pointer: run `git lfs pull`")
    if not start:
        raise PotvitError(f"weights file {path} is empty: get it again")
    return start


def _is_safetensors(start: bytes) -> bool:
    """Whether a file begins with the length of a header (8 bytes) and the header's brace."""
    return start[6:9] == b"\0\0{"


def _shards(path: Path) -> StateDict:
    """All tensors of the files that an index lists."""
    index = json.loads(path.read_text(encoding="utf-8"))
    names = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(names, dict) or not names:
        raise PotvitError(f"weights file {path} is no index of shards: it has no weight_map")
    found: StateDict = {}
    for shard in sorted(set(map(str, names.values()))):
        if Path(shard).name != shard:
            raise PotvitError(f"weights file {path} lists {shard!r}, not a file beside it")
        content = read_content(weights_file(path.parent / shard))
        if not is_state(content):
            raise PotvitError(f"weights file {path.parent / shard} holds no dictionary of tensors")
        found |= content
    missing = sorted(set(names) - set(found))
    if missing:
        raise PotvitError(f"weights file {path} lists {missing[0]}, which no shard has")
    return found


def is_number(value: Any) -> bool:
    """A number, a word or nothing: what a run notes down about itself."""
    inert = isinstance(value, safe_pickle.Inert) and value.origin in _NUMPY_SCALARS
    return inert or value is None or isinstance(value, bool | int | float | str)


def is_state(value: Any) -> bool:
    """A non-empty dictionary of nothing but tensors by name (and modules' extra state).

    Beside those of a vision transformer, notes of the run (`is_number`) may stand as well.
    """
    if not isinstance(value, Mapping):
        return False
    real = [v for k, v in value.items() if not str(k).endswith(EXTRA)]
    tensors = [v for v in real if isinstance(v, torch.Tensor)]
    others = [v for v in real if not isinstance(v, torch.Tensor)]
    return bool(tensors) and (not others or (has_landmark(value) and all(map(is_number, others))))


def has_landmark(value: Mapping[Any, Any]) -> bool:
    """Whether the tensors of a vision transformer are in ``value`` itself."""
    return any(
        f".{k}".endswith(f".{LANDMARK}") and isinstance(v, torch.Tensor) for k, v in value.items()
    )
