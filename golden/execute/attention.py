"""Scores, Log-Int-Softmax and attention x V on a torch device, exactly.

Floats only carry integers here: products stay below 2**24, and a code is read off the binary
exponent of one correctly rounded quotient (see `Codes`).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch

from golden import ops
from golden.execute.gemm import FLOAT32_EXACT, require_bits
from golden.execute.narrow import Requantize, sat8
from golden.graph import ir
from golden.ops.shift_attention import ACC_BITS, HALF_STEP
from golden.ops.softmax import E_BITS, MASKED, AttnFormat, CodeRule
from golden.ops.uniform_attention import RECIPROCAL, RECIPROCAL_BITS
from golden.support.errors import PotvitError

#: Row sums: up to 1024 keys of 16 bits.
SUM_BITS = 26


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


class Codes:
    """``golden.ops.LogIntSoftmax`` (or uniform codes) of int8 [..., H, T, T] logits.

    ``E`` comes from a table of the 256 distances per head; row sums of up to 256 of them are
    exact in float32 in any order, longer rows are summed and divided in float64. A threshold
    ``256*S >= T*(E << n)``, ``T = u * 2**z``, reads ``S / (u*E) >= 2**(n + z - 8)``: the exponent
    field of that quotient counts the thresholds passed, and ``E = 0`` divides to infinity, beyond
    all of them. `_Octaves` says why a rounded quotient cannot reach a power of two that the exact
    one does not.
    """

    def __init__(self, node: ir.Softmax, keys: int, device: torch.device) -> None:
        longest = keys * ((1 << E_BITS) - 1)
        require_bits(f"{node.name}: row sum", longest, SUM_BITS + 1)
        self._sum_type = torch.float32 if longest < FLOAT32_EXACT else torch.float64
        self.fmt, self.rule = node.fmt, node.rule
        unit = ops.LogIntSoftmax(form=node.form)
        try:
            tables = [unit.exponential(np.arange(256), int(e)) for e in node.logit_exp]
        except ValueError as error:
            raise PotvitError(f"{node.name}: {error}") from None
        # One entry more than the distances: a masked key's exponential, which is 0.
        values = np.append(np.concatenate(tables), 0)
        self._masked = len(values) - 1 if node.masked else None
        self._table = torch.tensor(values, dtype=torch.float32, device=device)
        heads = torch.arange(len(tables), dtype=torch.int32, device=device)
        self._offset = (heads * 256)[:, None, None]
        for t, _ in _thresholds(node.fmt, node.rule):
            if not 256 <= t < 1024:
                raise PotvitError(f"{node.name}: code threshold {t} outside 256..1023")
        self._boundaries = torch.tensor(_fq_boundaries(), dtype=torch.float64, device=device)
        self._octaves = [
            _Octaves(t, most, values, self._sum_type).to(device)
            for t, most in _thresholds(node.fmt, node.rule)
        ]

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Return uint8 codes."""
        index = self.positions(logits)
        e = self.exponential(index)
        return self.codes(index, e, e.sum(-1, keepdim=True, dtype=self._sum_type))

    def positions(self, logits: torch.Tensor) -> torch.Tensor:
        """Return int32 table positions of logits: ``256*head`` plus the distance to the maximum."""
        index = logits.to(torch.int32)
        index = index.amax(-1, keepdim=True).add(self._offset).sub(index)
        if self._masked is not None:
            index = index.masked_fill_(logits == MASKED, self._masked)
        return index

    def exponential(self, index: torch.Tensor) -> torch.Tensor:
        """Return the float32 ``E`` of table positions, ``256*head + t``."""
        return self._table.index_select(0, index.view(-1)).view(index.shape)

    def codes(self, index: torch.Tensor, e: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        """Return uint8 codes of table positions, their ``E`` and exact float row sums."""
        if self.fmt is None:
            e = e.double()
            return torch.floor(e.mul_(510).add_(s).div_(2 * s.double())).to(torch.uint8)
        if self.rule.fq and self.fmt is AttnFormat.LOG2:
            # Margins of 2**-25 between thresholds and quotients, against 2**-53.
            quotient = (2 * s.double()) / e.double()
            return torch.bucketize(quotient, self._boundaries, right=True).to(torch.uint8)
        codes = self._octaves[0](index, e, s)
        for more in self._octaves[1:]:
            codes += more(index, e, s)
        return codes.to(torch.uint8)


def _thresholds(fmt: AttnFormat | None, rule: CodeRule) -> list[tuple[int, int]]:
    """The ``T`` that a rule compares with, in units of 1/256, and over how many octaves."""
    if fmt is AttnFormat.HALF:
        return [(rule.odd, 16), (rule.even, 15)]
    return [] if fmt is None or rule.fq else [(rule.odd, 15)]


class _Octaves:
    """How many ``n`` in 0..most-1 have ``256*S >= T*(E << n)``, for ``E`` out of a table.

    With sums below 2**24 the divisor ``u*E`` is carried in float32, rounded up where it has more
    than 24 bits; the constructor proves that this moves no threshold that such a sum can reach. A
    quotient of such numbers that is below a power of two is below it by more than a relative
    2**-25, so the correctly rounded quotient reaches a power only where the exact one does.
    Longer sums (below 2**26) are divided in float64, where all of it is exact and the distance is
    more than 2**-27 against 2**-53.
    """

    def __init__(self, t: int, most: int, values: npt.NDArray[np.int64], kind: torch.dtype) -> None:
        z = (t & -t).bit_length() - 1
        self._u, self._most, self._divisor = t >> z, most, None
        wide = kind is torch.float64
        # The integer type of a float's bits, where its exponent starts, and the bias.
        self._field, self._fraction = (torch.int64, 52) if wide else (torch.int32, 23)
        self._bias = (1023 if wide else 127) + z - 9
        if wide:
            return
        exact = self._u * values
        carried = exact.astype(np.float32)
        carried = np.where(carried < exact, np.nextafter(carried, np.float32(np.inf)), carried)
        shifts = np.arange(most)[:, None] + z - 8
        least, found = (
            -((-x << np.maximum(shifts, 0)) >> np.maximum(-shifts, 0))
            for x in (exact, carried.astype(np.int64))
        )
        if not np.all((least == found) | (least >= FLOAT32_EXACT)):
            raise PotvitError(f"code threshold {t} cannot be carried exactly")
        if not (exact == carried).all():
            self._divisor = torch.tensor(carried, dtype=torch.float32)

    def to(self, device: torch.device) -> _Octaves:
        """Move the divisors to ``device``."""
        if self._divisor is not None:
            self._divisor = self._divisor.to(device)
        return self

    def __call__(self, index: torch.Tensor, e: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        """Return int32 counts for table positions, their float32 ``E`` and row sums."""
        if self._divisor is None:
            quotient = s / (e.to(s.dtype) * self._u)
        else:
            quotient = s / self._divisor.index_select(0, index.view(-1)).view(e.shape)
        field = quotient.view(self._field).bitwise_right_shift_(self._fraction)
        return field.sub_(self._bias).clamp_(0, self._most)


def _fq_boundaries() -> list[float]:
    """FQ-ViT's thresholds on ``2*S/E``; the second one is strict."""
    return [3.0, math.nextafter(5.0, 6.0), *(3.0 * 2 ** (k - 1) - 1 for k in range(3, 16))]


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
        self._round = Requantize(
            np.full(shift.shape, total, np.int64), shift, device, node.out_bits
        )

    def __call__(self, codes: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Return int8 [B, T, C] of uint8 codes and int8 ``v``."""
        windows = codes.flatten(0, -4)  # [B, H, T, T], or [B*W, H, n, n]
        parts = v.reshape(len(windows), windows.shape[-1], v.shape[-1])
        out = self._round(self.accumulate(windows, parts)).transpose(1, 2).flatten(2)
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
