"""Scores, softmax codes and attention x V as one kernel call; see ``source/attention.cpp``."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from golden import ops
from golden.execute.kernel.library import PANEL, Library, attach, pointer
from golden.execute.narrow import Requantize
from golden.graph import ir
from golden.ops.softmax import AttnFormat, ExpForm

#: The kernel shifts 32-bit sums.
_SUM_LIMIT = 1 << 31


class AttentionJob(ctypes.Structure):
    """The source's ``AttentionJob``."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("parts", "tokens", "channels", "heads")),
        *((name, ctypes.c_void_p) for name in (
            "q", "k", "v", "score_start", "score_right", "bias", "masks")),
        *((name, ctypes.c_int64) for name in ("windows", "padded")),
        *((name, ctypes.c_void_p) for name in ("exponential", "first")),
        ("scale", ctypes.c_double),
        *((name, ctypes.c_void_p) for name in ("less", "divisor")),
        ("codes", ctypes.c_int32),
        *((name, ctypes.c_void_p) for name in ("value_start", "value_right", "value_left")),
        *((name, ctypes.c_int32) for name in ("lowest", "highest")),
        ("out", ctypes.c_void_p),
    )  # fmt: skip


@cache
def exponentials(form: ExpForm, exponent: int) -> tuple[torch.Tensor, torch.Tensor]:
    """``E`` int32 [256] of the distances, and int16 [65537]: the first distance with ``E <= b``.

    256 stands for none. Every form falls with the distance, which makes a row's codes rise with it.
    """
    e = ops.LogIntSoftmax(form=form).exponential(np.arange(256), exponent)
    assert (np.diff(e) <= 0).all(), (form, exponent)
    first = 256 - np.searchsorted(e[::-1], np.arange(65537), side="right")
    return torch.from_numpy(e.astype(np.int32)), torch.from_numpy(first.astype(np.int16))


def code_bounds(node: ir.Softmax) -> tuple[float, list[float], list[float]]:
    """``scale``, ``less`` and ``divisor``: code k+1 where ``E <= (scale*S - less[k])/divisor[k]``.

    The rules of ``golden.ops.softmax.CodeRule``, solved for ``E``.
    """
    rule, most = node.rule, 15 if node.fmt is AttnFormat.LOG2 else 31
    less = [0.0] * most
    if node.fmt is AttnFormat.HALF:
        pair = (rule.odd, rule.even)
        return 256, less, [float(pair[k % 2] << (k // 2)) for k in range(most)]
    if not rule.fq:
        return 256, less, [float(rule.odd << k) for k in range(most)]
    less[1] = 1  # "greater than", in integers
    return 2, less, [3, 5, *(float(3 * 2**k - 1) for k in range(2, most))]


class AttentionKernel:
    """The nodes of one attention, ``q``, ``k``, ``v`` int8 [B, T, C] to int8, the same bits.

    `fits` says whether the kernel does them; ``value`` is the attention x V node's requantizer by
    head, [H, 1, 1].
    """

    def __init__(
        self,
        library: Library,
        scores: ir.Scores,
        softmax: ir.Softmax,
        value: Requantize,
        shape: tuple[int, ...],
    ) -> None:
        self._library = library
        heads, windows = scores.heads, scores.windows
        tokens = shape[0] if windows is None else windows.size
        padded = -(-tokens // PANEL) * PANEL
        tables = [exponentials(softmax.form, int(e)) for e in softmax.logit_exp]
        scale, less, divisor = code_bounds(softmax)
        bias = None if scores.bias is None else _aligned_bias(scores)
        masks = windows.masked() if windows is not None and windows.masks else None
        half = np.where(scores.shift > 0, 1 << np.maximum(scores.shift - 1, 0), 0)
        left = torch.zeros(heads) if value.left is None else value.left
        #: Kept alive here; the job has their addresses.
        self._tensors = {
            "score_start": _int32(half),
            "score_right": _int32(scores.shift),
            "bias": None if bias is None else _int32(_padded(bias, padded)),
            "masks": None if masks is None else torch.from_numpy(_padded(masks, padded)).byte(),
            "exponential": torch.cat([e for e, _ in tables]),
            "less": torch.tensor(less, dtype=torch.float64),
            "divisor": torch.tensor(divisor, dtype=torch.float64),
            "value_start": _int32(value.half),
            "value_right": _int32(value.right),
            "value_left": _int32(left),
        }
        self._first = (ctypes.c_void_p * heads)(*(pointer(first) for _, first in tables))
        self._tables = tables
        limit = 1 << (value.bits - 1)
        self._job = AttentionJob(
            tokens=tokens, channels=shape[1], heads=heads, padded=padded,
            windows=1 if windows is None else windows.count, scale=scale, codes=len(divisor),
            lowest=-limit, highest=limit - 1, first=ctypes.addressof(self._first),
        )  # fmt: skip
        attach(self._job, self._tensors)

    @staticmethod
    def fits(scores: ir.Scores, softmax: ir.Softmax, value: Requantize, channels: int) -> bool:
        """Whether all sums stay within 32 bits and attention has codes."""
        shift, windows = scores.shift.astype(np.int64), scores.windows
        masks = windows is not None and windows.masks
        if softmax.fmt is None or value.dtype is not torch.int32 or softmax.masked != masks:
            return False
        if shift.min() < 0 or shift.max() > 31:
            return False
        bound = 128 * 128 * (channels // scores.heads) + (1 << max(int(shift.max()) - 1, 0))
        if scores.bias is not None:
            bound += int(np.abs(_aligned_bias(scores)).max())
        return bound < _SUM_LIMIT

    def __call__(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Return int8 [B, T, C]."""
        q, k, v = (x.contiguous() for x in (q, k, v))
        job = AttentionJob.from_buffer_copy(self._job)
        out = torch.empty_like(q)
        job.parts = q.numel() // (job.tokens * job.channels)
        job.q, job.k, job.v, job.out = (pointer(x) for x in (q, k, v, out))
        self._library.run("attention", job)
        return out


def _aligned_bias(scores: ir.Scores) -> npt.NDArray[np.int64]:
    """The bias [H, n, n] at the products' exponent."""
    assert scores.bias is not None
    assert scores.bias_shift is not None
    return scores.bias.astype(np.int64) << scores.bias_shift.astype(np.int64)[:, None, None]


def _padded(values: npt.NDArray[Any], keys: int) -> npt.NDArray[Any]:
    """``values`` [..., n] with zeros up to ``keys``."""
    rest = [(0, 0)] * (values.ndim - 1) + [(0, keys - values.shape[-1])]
    return np.ascontiguousarray(np.pad(values, rest))


def _int32(values: npt.NDArray[Any] | torch.Tensor) -> torch.Tensor:
    return torch.as_tensor(values).reshape(-1).to(torch.int32).contiguous()
