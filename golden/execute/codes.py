"""Log-Int-Softmax (or uniform attention) on a torch device, exactly.

Floats only carry integers here: a code is read off the binary exponent of one correctly rounded
quotient (see `Codes`).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch

from golden import ops
from golden.execute.gemm import FLOAT32_EXACT, require_bits
from golden.graph import ir
from golden.ops.softmax import E_BITS, MASKED, AttnFormat, CodeRule
from golden.support.errors import PotvitError

#: Row sums: up to 1024 keys of 16 bits.
SUM_BITS = 26


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
