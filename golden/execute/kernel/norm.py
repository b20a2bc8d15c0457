"""The integer LayerNorm as one kernel call; see ``source/norm.cpp``."""

from __future__ import annotations

import ctypes

import numpy as np
import torch

from golden.execute.kernel.library import Library, attach, pointer
from golden.execute.layernorm import LayerNorm
from golden.graph import ir


class NormJob(ctypes.Structure):
    """The source's ``NormJob``."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("rows", "channels")),
        *((name, ctypes.c_void_p) for name in ("q", "alpha", "gamma", "beta")),
        *((name, ctypes.c_double) for name in ("lowest", "highest")),
        ("out", ctypes.c_void_p),
    )


class NormKernel:
    """``golden.execute.layernorm.LayerNorm`` of int8 [..., C] to int8, the same bits."""

    def __init__(self, library: Library, node: ir.LayerNorm) -> None:
        self._library = library
        norm = LayerNorm(node, torch.device("cpu"))
        limit = 1 << (norm.bits - 1)
        #: Kept alive here; the job has their addresses.
        self._tensors = {
            "alpha": torch.from_numpy((1 << node.alpha.astype(np.int64)).astype(np.int32)),
            "gamma": norm.gamma,
            "beta": norm.beta,
        }
        self._job = NormJob(channels=len(node.alpha), lowest=-limit, highest=limit - 1)
        attach(self._job, self._tensors)

    def __call__(self, q: torch.Tensor) -> torch.Tensor:
        """Return int8 [..., C] of the int8 residual."""
        q = q.contiguous()
        job = NormJob.from_buffer_copy(self._job)
        out = torch.empty_like(q)
        job.rows, job.q, job.out = q.numel() // job.channels, pointer(q), pointer(out)
        self._library.run("norm", job)
        return out
