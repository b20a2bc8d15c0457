"""Token orders and token sums on a torch device: windows, patch merging, mean pooling."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from golden import ops
from golden.execute.gemm import require_bits
from golden.execute.narrow import Requantize
from golden.graph import ir
from golden.ops.pool import POOL_SHIFT_MAX
from golden.ops.shift_attention import ACC_BITS
from golden.support.errors import PotvitError


class Gather:
    """Tokens in another order: [B, T, C] to [B, len(order), C], zeros where the order says -1.

    An order of several tokens a place, [places, n], puts them side by side: [B, places, n*C].
    """

    def __init__(self, order: npt.NDArray[np.int64], device: torch.device) -> None:
        flat = order.reshape(-1)
        self._places = len(order)
        self._index = torch.tensor(flat.clip(0), device=device)
        zeros = np.flatnonzero(flat < 0)
        self._zeros = torch.tensor(zeros, device=device) if len(zeros) else None

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return the ordered copy of ``x``."""
        made = x.index_select(1, self._index)
        if self._zeros is not None:
            made.index_fill_(1, self._zeros, 0)
        return made.view(len(x), self._places, -1)


class Pool:
    """``golden.ops.TokenPool`` of int8 [B, T, C] to [B, 1, C]; the sum's width is proven first."""

    def __init__(self, node: ir.Pool, tokens: int, device: torch.device) -> None:
        if not 0 <= node.shift <= POOL_SHIFT_MAX:
            raise PotvitError(f"{node.name}: shift {node.shift} outside 0..{POOL_SHIFT_MAX}")
        bound = ops.TokenPool(shift=node.shift).bound(tokens)
        require_bits(f"{node.name}: sum of {tokens} tokens", bound, ACC_BITS)
        total = np.array([128 * tokens], np.int64)
        self._round = Requantize(total, np.array([node.shift]), device)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return the rounded sum over the tokens."""
        return self._round(x.sum(1, keepdim=True, dtype=torch.int32))
