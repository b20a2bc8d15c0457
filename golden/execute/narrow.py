"""Rounding, alignment and saturation of int32 accumulators on a torch device."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from golden.execute.gemm import ACC_BITS, require_bits

#: sat8(x << n) is sat8(sat8(x) << n), and sat8(x) << 24 still fits 32 bits.
_MAX_LEFT = 24


def sat8(x: torch.Tensor, bits: int = 8) -> torch.Tensor:
    """Clamp in place to the signed range of ``bits`` (8 or less) and return int8."""
    limit = 1 << (bits - 1)
    return x.clamp_(-limit, limit - 1).to(torch.int8)


class Requantize:
    """``sat8(rshr(acc, shift))`` per last-axis channel; equals ``golden.ops.Requantize``.

    ``bound`` [C] is the accumulators' worst case: it decides whether adding the rounding half
    stays within int32 or needs int64. The result saturates to ``bits``.

    Attributes:
        dtype: int32, or int64 where the rounding half needs it.
        half, right, left: what is added and the shifts, right first; ``left`` None for none.
        bits: the width of the result.
    """

    def __init__(
        self,
        bound: npt.NDArray[np.int64],
        shift: npt.NDArray[Any],
        device: torch.device,
        bits: int = 8,
    ) -> None:
        self.bits = bits
        shift = np.broadcast_to(shift.astype(np.int64), bound.shape)
        right = np.maximum(shift, 0)
        half = np.where(right > 0, np.int64(1) << np.maximum(right - 1, 0), 0)
        wide = int((bound + half).max()) >= 1 << 31
        self.dtype = torch.int64 if wide else torch.int32
        self.half = torch.tensor(half, dtype=self.dtype, device=device)
        self.right = torch.tensor(np.minimum(right, 63 if wide else 31), dtype=self.dtype)
        self.right = self.right.to(device)
        left = np.maximum(-shift, 0)
        self.left = (
            torch.tensor(np.minimum(left, _MAX_LEFT), dtype=self.dtype, device=device)
            if left.any()
            else None
        )

    def __call__(self, acc: torch.Tensor) -> torch.Tensor:
        """Return int8 of int32 ``acc`` [..., C], which is overwritten."""
        acc = acc.to(self.dtype).add_(self.half).bitwise_right_shift_(self.right)
        if self.left is not None:
            acc = acc.clamp_(-128, 127).bitwise_left_shift_(self.left)
        return sat8(acc, self.bits)


class ResidualAdd:
    """``sat8(rshr((acc << la) + (old << lo), shift))``; equals ``golden.ops.ResidualAdd``.

    ``acc_bound`` [C] and ``old_bound`` (largest magnitude of the old residual or constant) prove
    at construction that the aligned sum fits 32 bits; ``PotvitError`` where it may not.

    Attributes:
        la, lo: int32 [C] or None, the alignment of the accumulator and of the old residual.
        round: the `Requantize` of the sum.
    """

    def __init__(
        self,
        name: str,
        acc_bound: npt.NDArray[np.int64],
        old_bound: npt.NDArray[np.int64],
        la: npt.NDArray[Any],
        lo: npt.NDArray[Any],
        shift: npt.NDArray[Any],
        device: torch.device,
    ) -> None:
        la64, lo64 = la.astype(np.int64), lo.astype(np.int64)
        total = [
            (int(a) << int(x)) + (int(o) << int(y))
            for a, x, o, y in zip(acc_bound, la64, old_bound, lo64, strict=True)
        ]
        require_bits(f"{name}: aligned sum", max(total), ACC_BITS)
        self.la, self.lo = (
            torch.tensor(x, dtype=torch.int32, device=device) if x.any() else None
            for x in (la64, lo64)
        )
        self.round = Requantize(np.array(total, np.int64), shift, device)

    def __call__(self, acc: torch.Tensor, old: torch.Tensor) -> torch.Tensor:
        """Return int8 [..., C] of int32 ``acc`` and integer ``old``."""
        if self.la is not None:
            acc = acc.bitwise_left_shift(self.la)
        old = old.to(torch.int32)
        return self.round(acc + (old if self.lo is None else old.bitwise_left_shift(self.lo)))
