"""The float functions whose tables the integer network looks up."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from golden.ops.gelu import Activation

Floats = npt.NDArray[np.float64]


def activate(function: Activation, x: torch.Tensor) -> torch.Tensor:
    """Return ``function`` of float tensors as torch computes it."""
    match function:
        case Activation.GELU:
            return F.gelu(x)
        case Activation.GELU_TANH:
            return F.gelu(x, approximate="tanh")
        case Activation.QUICK_GELU:
            return x * torch.sigmoid(1.702 * x)
        case Activation.RELU:
            return F.relu(x)
        case Activation.SILU:
            return F.silu(x)


def precise(function: Activation, x: Floats) -> Floats:
    """Return ``function`` of float64 arrays, what the searches compare with."""
    if function is Activation.GELU:
        return np.asarray(0.5 * x * (1 + torch.erf(torch.from_numpy(x) / math.sqrt(2)).numpy()))
    return np.asarray(activate(function, torch.from_numpy(x)).numpy())
