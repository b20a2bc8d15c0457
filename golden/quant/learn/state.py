"""Stages that are learned already, kept beside each other so that an interrupted run goes on."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from golden.graph import ir
from golden.support.errors import PotvitError
from golden.support.kept import files_digest
from golden.support.whole_file import write_whole


class Saved:
    """A folder with one file per learned stage, or nothing (``folder`` None)."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def restore(self, stage: int, parameters: dict[str, torch.Tensor]) -> bool:
        """Fill ``parameters`` from the stage's file; False where there is none that fits."""
        if self._folder is None:
            return False
        try:
            found = load_file(self._folder / f"{stage}.safetensors")
        except (OSError, SafetensorError):
            return False
        shapes = {name: value.shape for name, value in parameters.items()}
        if {name: value.shape for name, value in found.items()} != shapes:
            return False
        for name, value in parameters.items():
            value.copy_(found[name])
        return True

    def keep(self, stage: int, parameters: dict[str, torch.Tensor]) -> None:
        """Write the stage's file, complete or not at all.

        Raises:
            PotvitError: the folder cannot be written.
        """
        if self._folder is None:
            return
        content = save({k: v.detach().contiguous() for k, v in parameters.items()})
        try:
            write_whole(self._folder / f"{stage}.safetensors", content)
        except OSError as error:
            raise PotvitError(
                f"{self._folder}: learned stages cannot be kept ({error.strerror})"
            ) from None


#: Code that the learned numbers depend on beside what ``fingerprint`` is given.
SOURCES = Path(__file__).parent


def fingerprint(graph: ir.Graph, pixels: npt.NDArray[np.uint8], options: dict[str, Any]) -> str:
    """A name for everything that a learned stage depends on."""
    digest = hashlib.sha256(files_digest(SOURCES.glob("*.py"), SOURCES).encode())
    digest.update(torch.__version__.encode())
    for node in graph.nodes:
        digest.update(node.name.encode())
        for name, value in ir.constants(node).items():
            digest.update(name.encode() + str(value.dtype).encode() + value.tobytes())
    digest.update(pixels.tobytes())
    digest.update(json.dumps(options, sort_keys=True, default=str).encode())
    return digest.hexdigest()[:20]
