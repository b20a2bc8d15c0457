"""Exact integer matrix products on any torch device, and the carriers that keep them exact."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from golden.support.errors import PotvitError

ACC_BITS = 32
#: Every integer below these magnitudes is exact, and so is any sum that stays below.
FLOAT32_EXACT = 1 << 24
FLOAT64_EXACT = 1 << 53


class Carrier(enum.StrEnum):
    """What the operands of an integer product are carried in."""

    INT8 = "int8"
    FLOAT32 = "float32"
    FLOAT64 = "float64"


def require_bits(what: str, magnitude: int, bits: int) -> None:
    """Refuse a graph whose worst case leaves the hardware's signed width.

    Raises:
        PotvitError: ``magnitude`` (largest absolute value) does not fit ``bits`` signed bits.
    """
    if magnitude >= 1 << (bits - 1):
        need = magnitude.bit_length() + 1
        raise PotvitError(f"{what} may need {need} bits, the hardware has {bits}")


@cache
def int8_gemm_is_exact(device: str) -> bool:
    """Try torch's int8 GEMM on extreme and random operands of several shapes.

    Some libraries saturate 16-bit intermediate sums or lack the kernel; then it is not used.
    """
    generator = torch.Generator().manual_seed(0)
    for rows, inner, columns in ((32, 64, 16), (200, 1024, 72), (33, 4096, 200)):
        random = torch.randint(-128, 128, (rows, inner), generator=generator, dtype=torch.int8)
        weight = torch.randint(-128, 128, (columns, inner), generator=generator, dtype=torch.int8)
        weight[0], weight[1], random[0], random[1] = -128, 127, -128, 127
        want = random.double() @ weight.double().T
        try:
            got = torch._int_mm(random.to(device), weight.to(device).T)
        except (RuntimeError, NotImplementedError):
            return False
        if not torch.equal(got.cpu().double(), want):
            return False
    return True


@cache
def int8_gemm_pays(device: str) -> bool:
    """Tell whether torch's int8 GEMM is exact on ``device`` and no slower than its float32 one.

    Processors without instructions for it fall back to a loop that takes thirty times as long.
    Either way gives the same bits, so a timing may choose.
    """
    if not int8_gemm_is_exact(device):
        return False
    a = torch.ones(128, 256, dtype=torch.int8, device=device)
    b = torch.ones(256, 256, dtype=torch.int8, device=device)
    x, y = a.float(), b.float()

    def seconds(product: Callable[[], torch.Tensor]) -> float:
        taken = []
        for _ in range(5):
            start = time.perf_counter()
            product()[:1, :1].cpu()
            taken.append(time.perf_counter() - start)
        return min(taken)

    return seconds(lambda: torch._int_mm(a, b)) <= seconds(lambda: x @ y)


def require_exact_float32(device: torch.device) -> None:
    """Refuse a device whose float32 products of 8-bit operands are rounded below 2**24.

    Raises:
        PotvitError: with the setting to change.
    """
    generator = torch.Generator().manual_seed(0)
    a = torch.randint(-128, 128, (64, 1016), generator=generator)
    b = torch.randint(-128, 128, (72, 1016), generator=generator)
    a[0], a[1], b[0], b[1] = -128, 127, -128, 127
    got = torch.mm(a.to(device, torch.float32), b.to(device, torch.float32).T)
    if not torch.equal(got.cpu().double(), a.double() @ b.double().T):
        raise PotvitError(
            f"float32 products on {device} are not exact: "
            "call torch.set_float32_matmul_precision('highest')"
        )


class Gemm:
    """``acc = X W^T + b`` as int32 for int8 ``X`` [N, K]; ``weight`` [C, K], ``bias`` [C].

    The worst case ``128*sum|w_c| + |b_c|`` is proven to fit 32 bits at construction. The carrier
    is int8 where the device's int8 GEMM is exact and pays, else float32 where
    ``128*sum|w_c| < 2**24``, else float64; ``carrier`` forces one (refused where not exact).

    Attributes:
        bound: int64 [C], the largest magnitude each accumulator can reach.
        carrier: the one in use.
    """

    def __init__(
        self,
        name: str,
        weight: npt.NDArray[Any],
        bias: npt.NDArray[Any] | None,
        device: torch.device,
        carrier: Carrier | None = None,
    ) -> None:
        w = weight.astype(np.int64)
        b = np.zeros(len(w), np.int64) if bias is None else bias.astype(np.int64)
        product = 128 * np.abs(w).sum(1)
        self.bound = product + np.abs(b)
        require_bits(f"{name}: accumulator", int(self.bound.max()), ACC_BITS)
        float_bound = int(product.max())
        if carrier is None:
            carrier = Carrier.INT8 if int8_gemm_pays(str(device)) else Carrier.FLOAT32
        if carrier is Carrier.FLOAT32 and float_bound >= FLOAT32_EXACT:
            carrier = Carrier.FLOAT64
        self.carrier = carrier
        self._float = torch.float32 if float_bound < FLOAT32_EXACT else torch.float64
        self._weight8 = torch.tensor(w, dtype=torch.int8, device=device)
        self._weight = (
            self._weight8.to(torch.float64 if carrier is Carrier.FLOAT64 else self._float)
            if carrier is not Carrier.INT8
            else None
        )
        self._bias = torch.tensor(b, dtype=torch.int32, device=device) if b.any() else None

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return int32 [N, C] of int8 ``x`` [N, K]."""
        if self._weight is None and self._int8_shape(x):
            acc = torch._int_mm(x, self._weight8.T)
        else:
            weight = self._weight8.to(self._float) if self._weight is None else self._weight
            acc = (x.to(weight.dtype) @ weight.T).to(torch.int32)
        return acc if self._bias is None else acc.add_(self._bias)

    def _int8_shape(self, x: torch.Tensor) -> bool:
        """CUDA's int8 GEMM needs more than 16 rows and multiples of 8."""
        if x.device.type == "cpu":
            return True
        columns, inner = self._weight8.shape
        return x.shape[0] > 16 and inner % 8 == 0 and columns % 8 == 0
