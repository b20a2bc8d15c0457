"""A linear layer and what follows it as one kernel call; see ``source/linear.cpp``."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from golden.execute.kernel.library import PANEL, Library, attach, pointer
from golden.execute.narrow import Requantize, ResidualAdd


class LinearJob(ctypes.Structure):
    """The source's ``LinearJob``."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("rows", "inner", "columns")),
        *((name, ctypes.c_void_p) for name in (
            "x", "panels", "start", "right", "left", "align", "old_align", "old", "table")),
        *((name, ctypes.c_int32) for name in ("lowest", "highest")),
        *((name, ctypes.c_void_p) for name in ("out", "sums")),
    )  # fmt: skip


def panels(weight: npt.NDArray[Any]) -> torch.Tensor:
    """Int8 weights [C, K] as int16 [C/16, K/2, 16, 2], both rounded up, with zeros."""
    columns, inner = weight.shape
    padded = np.zeros((-(-columns // PANEL) * PANEL, -(-inner // 2) * 2), np.int16)
    padded[:columns, :inner] = weight
    cut = padded.reshape(-1, PANEL, padded.shape[1] // 2, 2).transpose(0, 2, 1, 3)
    return torch.from_numpy(np.ascontiguousarray(cut))


def by_column(values: npt.NDArray[Any] | torch.Tensor | None, columns: int) -> torch.Tensor | None:
    """Constants [C] as int32 with zeros up to whole panels; None for None."""
    if values is None:
        return None
    padded = np.zeros(-(-columns // PANEL) * PANEL, np.int32)
    padded[:columns] = np.asarray(values)
    return torch.from_numpy(padded)


class LinearKernel:
    """``golden.execute``'s product of int8 [..., K] and what follows it, the same bits.

    With ``narrow``, a requantizer: int8 [..., C]. With ``add``, a residual addition: int8 [..., C]
    of ``x`` and the old residual, if there is one. With neither: the accumulators, int32. ``table``
    (256 int8) is looked up in behind. `fits` says whether the kernel has room for the sums.
    """

    def __init__(
        self,
        library: Library,
        weight: npt.NDArray[Any],
        bias: npt.NDArray[Any] | None,
        *,
        narrow: Requantize | None = None,
        add: ResidualAdd | None = None,
        table: npt.NDArray[np.int8] | None = None,
    ) -> None:
        self._library = library
        self._raw = narrow is None and add is None
        columns, inner = weight.shape
        start = np.zeros(columns, np.int64) if bias is None else bias.astype(np.int64)
        align = old_align = None
        if add is not None:
            narrow, align, old_align = add.round, add.la, add.lo
            start = start if align is None else start << align.numpy().astype(np.int64)
        limit = 128
        right = left = None
        if narrow is not None:
            start = start + narrow.half.numpy()
            right, left, limit = narrow.right, narrow.left, 1 << (narrow.bits - 1)
        #: Kept alive here; the job has their addresses.
        self._tensors = {
            "panels": panels(weight),
            "start": by_column(start, columns),
            "right": by_column(right, columns),
            "left": by_column(left, columns),
            "align": by_column(align, columns),
            "old_align": by_column(old_align, columns),
            "table": None if table is None else torch.from_numpy(table.astype(np.int8)),
        }
        self._job = LinearJob(inner=inner, columns=columns, lowest=-limit, highest=limit - 1)
        attach(self._job, self._tensors)

    @staticmethod
    def fits(narrow: Requantize) -> bool:
        """Whether sums and the rounding half stay within 32 bits."""
        return narrow.dtype is torch.int32

    def __call__(self, x: torch.Tensor, old: torch.Tensor | None = None) -> torch.Tensor:
        """Return [..., C] of int8 ``x`` [..., K] and the old residual [..., C]."""
        x = x.contiguous()
        job = LinearJob.from_buffer_copy(self._job)
        shape = (*x.shape[:-1], job.columns)
        out = torch.empty(shape, dtype=torch.int32 if self._raw else torch.int8)
        if old is not None:
            old = old.contiguous()
            job.old = pointer(old)
        job.rows, job.x = x.numel() // job.inner, pointer(x)
        setattr(job, "sums" if self._raw else "out", pointer(out))
        self._library.run("linear", job)
        return out
