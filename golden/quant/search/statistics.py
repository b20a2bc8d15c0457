"""Second moments of a layer's integer inputs, and the layer that best meets the float outputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from golden.execute.gemm import int8_gemm_pays
from golden.quant.search.linear import CHUNK, LinearParameters

#: Rows whose int8 products surely sum within 32 bits.
GRAM_ROWS = 1 << 16

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Moments:
    """What calibration saw at one layer, in real units, weighted by token.

    ``tokens``: how many there were, whatever their weights; ``mean_x`` [K], ``mean_y`` [C];
    ``cov_xx`` [K, K] and ``cov_xy`` [K, C] about those means. The x moments are exact integers
    before scaling.
    """

    tokens: int
    mean_x: Floats
    mean_y: Floats
    cov_xx: Floats
    cov_xy: Floats


def second_moments(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the exact ``sum x x^T`` of int8 ``x`` [N, T, K]: all tokens, class tokens; float64."""
    return _gram(x.reshape(-1, x.shape[-1])), _gram(x[:, 0])


def moments(
    x: torch.Tensor,
    exponent: int,
    target: torch.Tensor,
    second: tuple[torch.Tensor, torch.Tensor],
    class_weight: float = 1.0,
) -> Moments:
    """Gather the moments of int8 ``x`` [N, T, K] at ``exponent`` and float ``target`` [N, T, C].

    The first token (the class token) counts ``class_weight`` times; ``second`` are the
    ``second_moments`` of ``x``.
    """
    inputs, outputs = x.shape[-1], target.shape[-1]
    extra = class_weight - 1.0
    xx = second[0] + extra * second[1]
    sum_x = x.sum((0, 1), dtype=torch.float64) + extra * x[:, 0].sum(0, dtype=torch.float64)
    xy = extra * (x[:, 0].float().T @ target[:, 0]).double()
    sum_y = extra * target[:, 0].sum(0, dtype=torch.float64)
    for i in range(0, len(x), CHUNK):
        wanted = target[i : i + CHUNK]
        rows = x[i : i + CHUNK].float()
        xy += (rows.reshape(-1, inputs).T @ wanted.reshape(-1, outputs)).double()
        sum_y += wanted.sum((0, 1), dtype=torch.float64)
    count = float(len(x) * (x.shape[1] + extra))
    unit = 2.0**exponent
    mean_x, mean_y = sum_x / count * unit, sum_y / count
    return Moments(
        tokens=len(x) * x.shape[1],
        mean_x=mean_x.numpy(),
        mean_y=mean_y.numpy(),
        cov_xx=(xx / count * unit**2 - torch.outer(mean_x, mean_x)).numpy(),
        cov_xy=(xy / count * unit - torch.outer(mean_x, mean_y)).numpy(),
    )


def _gram(x: torch.Tensor) -> torch.Tensor:
    """Return the exact ``x^T x`` of int8 [N, K], float64."""
    total = torch.zeros(x.shape[1], x.shape[1], dtype=torch.float64)
    for part in x.split(GRAM_ROWS):
        if int8_gemm_pays("cpu") and len(part) > 16 and x.shape[1] % 8 == 0:
            part = torch.nn.functional.pad(part, (0, 0, 0, -len(part) % 8))
            total += torch._int_mm(part.T.contiguous(), part)
        else:
            total += part.double().T @ part.double()
    return total


def refit(seen: Moments, layer: LinearParameters, prior: float) -> LinearParameters:
    """Return the layer that maps the quantized inputs best onto the float outputs.

    Least squares with a pull towards the float weights worth ``prior`` tokens of average input:
    it makes up for what quantization before this layer lost (attention gain, clipped tails).
    The bias is the one that makes the mean error zero.
    """
    cov = torch.from_numpy(seen.cov_xx)
    weight = torch.from_numpy(layer.weight)
    pull = prior / seen.tokens * float(cov.diagonal().mean())
    # One token (or equal ones) has no covariance: rounding noise must not be fitted.
    pull = max(pull, 1e-3 * float(np.square(seen.mean_x).mean()), 1e-12)
    system = cov + pull * torch.eye(len(cov), dtype=torch.float64)
    missing = torch.from_numpy(seen.cov_xy) - cov @ weight.T
    fitted = (weight + torch.linalg.solve(system, missing).T).numpy()
    return LinearParameters(weight=fitted, bias=centred_bias(seen, fitted))


def centred_bias(seen: Moments, weight: Floats) -> Floats:
    """Return the bias [C] that makes the mean output of ``weight`` equal the mean target."""
    answer = torch.from_numpy(weight) @ torch.from_numpy(seen.mean_x)
    return np.asarray(seen.mean_y - answer.numpy())
