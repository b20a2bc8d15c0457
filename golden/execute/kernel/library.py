"""The compiled kernels in this process: loaded once, or said once why not."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from functools import cache

import torch

from golden.execute.kernel.build import library_file
from golden.support.errors import PotvitError
from golden.support.notes import note

#: Columns beside one another in memory come in multiples of this: ``COLUMNS`` of the source.
PANEL = 16
#: The variable that leaves the kernels out (0); they are used without it and with 1.
SWITCH = "POTVIT_KERNELS"


def kernels(device: torch.device) -> Library | None:
    """The kernels for ``device``; None where it is no CPU, where they are switched off or missing.

    Why they are missing is told once, on standard error: all works without, more slowly.

    Raises:
        PotvitError: the switch says neither yes nor no.
    """
    value = os.environ.get(SWITCH) or "1"
    if value not in ("0", "1"):
        raise PotvitError(f"{SWITCH}={value}: give 1 (use the compiled kernels) or 0")
    return _library() if value == "1" and device.type == "cpu" else None


@cache
def _library() -> Library | None:
    try:
        return Library()
    except PotvitError as error:
        note(f"the executor runs without its compiled kernels, more slowly: {error}")
        return None


class Library:
    """The functions of the library; each takes one job, a structure that mirrors the source's.

    Raises ``PotvitError`` where it cannot be made or loaded.
    """

    def __init__(self) -> None:
        try:
            self._functions = ctypes.CDLL(str(library_file()))
        except OSError as error:
            raise PotvitError(f"the compiled library cannot be loaded ({error})") from None

    def run(self, name: str, job: ctypes.Structure) -> None:
        """Run kernel ``name`` on ``job``; other threads go on meanwhile."""
        self._functions[f"potvit_{name}"](ctypes.byref(job))

    def job_bytes(self, name: str) -> int:
        """Size of the source's structure for kernel ``name``."""
        return int(self._functions[f"potvit_{name}_job"]())


def attach(job: ctypes.Structure, tensors: Mapping[str, torch.Tensor | None]) -> None:
    """Write the addresses of ``tensors`` into the fields of these names; they must stay alive."""
    for name, tensor in tensors.items():
        setattr(job, name, pointer(tensor))


def pointer(tensor: torch.Tensor | None) -> int | None:
    """Where a contiguous tensor's numbers lie; None for no tensor."""
    if tensor is None:
        return None
    assert tensor.is_contiguous()
    return tensor.data_ptr()
