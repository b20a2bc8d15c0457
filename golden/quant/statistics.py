"""Second moments of a layer's integer inputs, and the layer that best meets the float outputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from golden.quant.float_model import CHUNK, LinearParameters
from golden.quant.threads import one_thread

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Moments:
    """What calibration saw at one layer, in real units, weighted by token.

    ``count``: sum of the token weights; ``mean_x`` [K], ``mean_y`` [C]; ``cov_xx`` [K, K] and
    ``cov_xy`` [K, C] about those means. The x moments are exact integers before scaling.
    """

    count: float
    mean_x: Floats
    mean_y: Floats
    cov_xx: Floats
    cov_xy: Floats


def moments(
    x: torch.Tensor, exponent: int, target: torch.Tensor, class_weight: float = 1.0
) -> Moments:
    """Gather the moments of int8 ``x`` [N, T, K] at ``exponent`` and float ``target`` [N, T, C].

    The first token (the class token) counts ``class_weight`` times. Memory: two K x K matrices.
    """
    inputs, outputs = x.shape[-1], target.shape[-1]
    xx = torch.zeros(inputs, inputs, dtype=torch.float64)
    xy = torch.zeros(inputs, outputs, dtype=torch.float64)
    sum_x = torch.zeros(inputs, dtype=torch.float64)
    sum_y = torch.zeros(outputs, dtype=torch.float64)
    weight = torch.ones(x.shape[1], dtype=torch.float64)
    weight[0] = class_weight
    for i in range(0, len(x), CHUNK):
        rows = x[i : i + CHUNK]
        scale = weight.repeat(len(rows))[:, None]
        flat = rows.reshape(-1, inputs).double()
        scaled = flat * scale
        with one_thread():
            wanted = target[i : i + CHUNK].reshape(-1, outputs).double()
            xx += scaled.T @ flat
            xy += scaled.T @ wanted
            sum_x += scaled.sum(0)
            sum_y += (wanted * scale).sum(0)
    count = float(weight.sum()) * len(x)
    unit = 2.0**exponent
    mean_x, mean_y = sum_x / count * unit, sum_y / count
    return Moments(
        count=count,
        mean_x=mean_x.numpy(),
        mean_y=mean_y.numpy(),
        cov_xx=(xx / count * unit**2 - torch.outer(mean_x, mean_x)).numpy(),
        cov_xy=(xy / count * unit - torch.outer(mean_x, mean_y)).numpy(),
    )


def refit(seen: Moments, layer: LinearParameters, prior: float) -> LinearParameters:
    """Return the layer that maps the quantized inputs best onto the float outputs.

    Least squares with a pull towards the float weights worth ``prior`` tokens of average input:
    it makes up for what quantization before this layer lost (attention gain, clipped tails).
    The bias is the one that makes the mean error zero.
    """
    with one_thread():
        cov = torch.from_numpy(seen.cov_xx)
        weight = torch.from_numpy(layer.weight)
        pull = prior / seen.count * float(cov.diagonal().mean()) + 1e-12
        system = cov + pull * torch.eye(len(cov), dtype=torch.float64)
        missing = torch.from_numpy(seen.cov_xy) - cov @ weight.T
        fitted = (weight + torch.linalg.solve(system, missing).T).numpy()
    return LinearParameters(weight=fitted, bias=centred_bias(seen, fitted))


def centred_bias(seen: Moments, weight: Floats) -> Floats:
    """Return the bias [C] that makes the mean output of ``weight`` equal the mean target."""
    with one_thread():
        answer = torch.from_numpy(weight) @ torch.from_numpy(seen.mean_x)
    return np.asarray(seen.mean_y - answer.numpy())
