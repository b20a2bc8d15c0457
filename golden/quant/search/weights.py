"""Per-channel power-of-two weights: nearest, or rounded with error compensation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from golden.quant.search import pot

Floats = npt.NDArray[np.float64]

#: Exponents may lie this far below the widest channel's: keeps shifts within 6 bits.
EXPONENT_SPAN = 12
#: Share of the mean second moment added to the diagonal.
DAMPING = 0.01
#: Columns whose errors are passed on one by one before the rest is updated.
BLOCK = 64
#: Sweeps of coordinate descent after the compensated rounding.
SWEEPS = 6


@dataclass(frozen=True, kw_only=True)
class QuantizedWeight:
    """``values`` int8 [C, K] within ``bits``, real = values * 2**exponent[c]; exponent int32."""

    values: npt.NDArray[np.int8]
    exponent: npt.NDArray[np.int32]
    bits: int

    @property
    def real(self) -> Floats:
        """The weights in real units, float64 [C, K]."""
        return np.ldexp(self.values.astype(np.float64), self.exponent[:, None])


def round_nearest(
    weight: Floats, bits: int, power: Floats | None = None, span: int = EXPONENT_SPAN
) -> QuantizedWeight:
    """Quantize [C, K] weights one by one; exponents minimise the error weighted by ``power`` [K].

    No exponent lies more than ``span`` below the largest.
    """
    exponent = pot.search(weight.T, np.abs(weight).max(1), bits, weight=power)
    exponent = np.maximum(exponent, int(exponent.max()) - span)
    values = pot.levels(weight, exponent[:, None], bits)
    return _result(values, exponent, bits)


def round_compensated(
    weight: Floats, bits: int, cov: Floats, span: int = EXPONENT_SPAN
) -> QuantizedWeight:
    """Quantize [C, K] weights so that the output error under inputs of covariance ``cov`` is least.

    Columns in falling order of their input's power; each one's error is passed on to those not
    yet rounded (OBQ/GPTQ). With 4 bits every channel is rounded at three exponents and keeps the
    best; coordinate descent then moves single weights while that lowers the error.
    """
    hessian = torch.from_numpy(cov).clone()
    damping = DAMPING * float(hessian.diagonal().mean()) + 1e-12
    hessian += damping * torch.eye(len(hessian), dtype=torch.float64)
    power = np.diag(hessian.numpy())
    start = pot.search(weight.T, np.abs(weight).max(1), bits, weight=power)
    offsets = (0,) if bits > 4 else (-1, 0, 1)
    lowest = int(start.max()) + offsets[-1] - span
    tried = torch.from_numpy(np.stack([np.maximum(start + o, lowest) for o in offsets]))
    wanted = torch.from_numpy(weight)
    values = _compensate(wanted.repeat(len(offsets), 1), tried.reshape(-1), hessian, bits)
    values = values.reshape(len(offsets), *weight.shape)
    errors = torch.stack(
        [_error(v, wanted, e, hessian) for v, e in zip(values, tried, strict=True)]
    )
    choice = errors.argmin(0)
    rows = torch.arange(len(weight))
    exponent = tried[choice, rows]
    best = values[choice, rows]
    if bits == 4:
        best = _descend(best, wanted, exponent, hessian, bits)
    return _result(best.numpy(), exponent.numpy(), bits)


def _result(values: Floats, exponent: npt.NDArray[np.int64], bits: int) -> QuantizedWeight:
    return QuantizedWeight(
        values=values.astype(np.int8), exponent=exponent.astype(np.int32), bits=bits
    )


def _scale(exponent: torch.Tensor) -> torch.Tensor:
    return torch.ldexp(torch.ones(len(exponent), dtype=torch.float64), exponent)


def _nearest(x: torch.Tensor, bits: int) -> torch.Tensor:
    limit = 1 << (bits - 1)
    return torch.floor(x + 0.5).clamp(-limit, limit - 1)


def _error(
    values: torch.Tensor, wanted: torch.Tensor, exponent: torch.Tensor, hessian: torch.Tensor
) -> torch.Tensor:
    gap = values * _scale(exponent)[:, None] - wanted
    return ((gap @ hessian) * gap).sum(1)


def _compensate(
    weight: torch.Tensor, exponent: torch.Tensor, hessian: torch.Tensor, bits: int
) -> torch.Tensor:
    order = torch.argsort(hessian.diagonal(), descending=True, stable=True)
    inverse = torch.linalg.inv(hessian[order][:, order])
    upper = torch.linalg.cholesky((inverse + inverse.T) / 2, upper=True)
    scale = _scale(exponent)
    left = (weight / scale[:, None])[:, order]
    values = torch.empty_like(left)
    for start in range(0, left.shape[1], BLOCK):
        stop = min(start + BLOCK, left.shape[1])
        errors = torch.empty(len(left), stop - start, dtype=torch.float64)
        for j in range(start, stop):
            values[:, j] = _nearest(left[:, j], bits)
            errors[:, j - start] = (left[:, j] - values[:, j]) / upper[j, j]
            left[:, j:stop] -= errors[:, j - start, None] * upper[j, j:stop]
        left[:, stop:] -= errors @ upper[start:stop, stop:]
    return values[:, torch.argsort(order)]


def _descend(
    values: torch.Tensor,
    wanted: torch.Tensor,
    exponent: torch.Tensor,
    hessian: torch.Tensor,
    bits: int,
) -> torch.Tensor:
    """Re-round one column at a time against the exact remaining error, a few sweeps."""
    scale = _scale(exponent)
    target = wanted / scale[:, None]
    values = values.clone()
    gradient = (values - target) @ hessian
    for _ in range(SWEEPS):
        before = values.clone()
        for j in range(values.shape[1]):
            new = _nearest(values[:, j] - gradient[:, j] / hessian[j, j], bits)
            step = new - values[:, j]
            if bool(step.any()):
                gradient += step[:, None] * hessian[j]
                values[:, j] = new
        if bool((before == values).all()):
            break
    return values
