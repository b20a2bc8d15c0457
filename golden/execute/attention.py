"""Scores and attention x V on a torch device, exactly: floats only carry integers below 2**24."""

from __future__ import annotations

import math

import numpy as np
import torch

from golden.execute.gemm import FLOAT32_EXACT, require_bits
from golden.execute.narrow import Requantize, sat8
from golden.graph import ir
from golden.ops.shift_attention import ACC_BITS, HALF_STEP
from golden.ops.softmax import MASKED, AttnFormat, CodeRule
from golden.ops.uniform_attention import RECIPROCAL, RECIPROCAL_BITS
from golden.support.errors import PotvitError


def split_heads(x: torch.Tensor, heads: int) -> torch.Tensor:
    """[B, T, C] -> [B, H, T, d], a view."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


class Scores:
    """``sat8(rshr(Q_h K_h^T, shift[h]))``: int8 [B, T, C] twice to int8 [B, H, T, T].

    In windows [B, W*n, C] twice to [B, W, H, n, n], equal to ``golden.ops.WindowScores``.
    """

    def __init__(self, node: ir.Scores, channels: int, device: torch.device) -> None:
        bound = 128 * 128 * (channels // node.heads)
        self._windows = node.windows
        self._bias: torch.Tensor | None = None
        if node.bias is not None and node.bias_shift is not None:
            if node.bias_shift.min() < 0:
                raise PotvitError(f"{node.name}: the bias is finer than the products")
            aligned = node.bias.astype(np.int64) << node.bias_shift.astype(np.int64)[:, None, None]
            bound += int(np.abs(aligned).max())
            scaled = np.ldexp(aligned.astype(np.float64), -node.shift[:, None, None])
        half = 1 << max(int(node.shift.max()) - 1, 0)
        # Scaled by 2**-shift all sums are multiples of one unit, still below 2**24 units.
        exact = bound + half <= FLOAT32_EXACT
        require_bits(f"{node.name}: accumulator", bound, 32)
        self._dtype = torch.float32 if exact else torch.float64
        scale = 2.0 ** -node.shift.astype(np.float64)
        self._scale = torch.tensor(scale, dtype=self._dtype, device=device)[:, None, None]
        self._heads = node.heads
        if node.bias is not None and node.bias_shift is not None:
            self._bias = torch.tensor(scaled, dtype=self._dtype, device=device)
        self._masked: torch.Tensor | None = None
        if node.windows is not None and node.windows.masks:
            self._masked = torch.tensor(node.windows.masked(), device=device)[:, None]

    def __call__(self, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        """Return int8 logits of int8 ``q`` and ``k``."""
        if self._windows is None:
            return sat8(self._rounded(q, k))
        size = self._windows.size
        logits = self._rounded(*(x.reshape(-1, size, x.shape[-1]) for x in (q, k)))
        logits = logits.view(len(q), -1, *logits.shape[1:])
        if self._masked is not None:
            logits = logits.clamp_(min=MASKED + 1).masked_fill_(self._masked, MASKED)
        return sat8(logits)

    def _rounded(self, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        """Return the rounded logits of [N, n, C] tokens before saturation."""
        query = split_heads(q, self._heads).to(self._dtype) * self._scale
        key = split_heads(k, self._heads).to(self._dtype)
        acc = query @ key.transpose(-1, -2)
        if self._bias is not None:
            acc = acc.add_(self._bias)
        return acc.add_(0.5).floor_()


def row_weight(fmt: AttnFormat, rule: CodeRule) -> float:
    """Bound of the sum of a row's weights: how far a code may round a probability up."""
    if fmt is AttnFormat.LOG2:
        return 1.5 if rule.fq else rule.odd / 256
    # A half-step value is at most (181/256 + 1/128) of V; see ShiftAttention.
    return max(rule.odd / 256, rule.even / 256 * (HALF_STEP + 2) / 256)


class AttnValue:
    """``golden.ops.ShiftAttention`` (or uniform): codes [B, H, T, T], int8 [B, T, C] to int8.

    In windows: codes [B, W, H, n, n], int8 [B, W*n, C]. The shifts become products with powers
    of two; every partial sum stays below 2**24.

    Attributes:
        round: the requantizer of the accumulators, by head.
    """

    def __init__(self, node: ir.AttnValue, rule: CodeRule, keys: int, device: torch.device) -> None:
        self._heads, self._fmt = node.heads, node.fmt
        if node.fmt is None:
            bound = 128 * (255 + (keys + 1) // 2)
            base, total = RECIPROCAL_BITS, RECIPROCAL * bound
            require_bits(f"{node.name}: accumulator", total, 32)
        else:
            zero, base = node.fmt.zero_code, 14 if node.fmt is AttnFormat.LOG2 else 15
            total = math.ceil(128 * 2**base * row_weight(node.fmt, rule))
            require_bits(f"{node.name}: accumulator", total, ACC_BITS)
            step = 1 if node.fmt is AttnFormat.LOG2 else 2
            weight = [float(1 << (base - code // step)) for code in range(zero)] + [0.0]
            self._weight = torch.tensor(weight, dtype=torch.float32, device=device)
        shift = node.shift[:, None, None] + base
        self.round = Requantize(np.full(shift.shape, total, np.int64), shift, device, node.out_bits)

    def __call__(self, codes: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Return int8 [B, T, C] of uint8 codes and int8 ``v``."""
        windows = codes.flatten(0, -4)  # [B, H, T, T], or [B*W, H, n, n]
        parts = v.reshape(len(windows), windows.shape[-1], v.shape[-1])
        out = self.round(self.accumulate(windows, parts)).transpose(1, 2).flatten(2)
        return out.reshape(v.shape)

    def accumulate(self, codes: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """The accumulators before their shift (base + shift[h]), int32 [B, H, T, d]."""
        value = split_heads(v, self._heads).to(torch.float32)
        if self._fmt is None:
            return (codes.to(torch.float32) @ value).to(torch.int32).mul_(RECIPROCAL)
        index = codes.to(torch.int32).view(-1)

        def weights(table: torch.Tensor) -> torch.Tensor:
            return table.index_select(0, index).view(codes.shape)

        if self._fmt is AttnFormat.LOG2:
            return (weights(self._weight) @ value).to(torch.int32)
        half = value.mul(HALF_STEP / 256).add_(0.5).floor_()
        weight = weights(self._weight)
        odd = index.bitwise_and_(1).view(codes.shape) * weight
        acc = odd @ half
        return acc.add_(weight.sub_(odd) @ value).to(torch.int32)
