"""Float linear layers, and how calibration pictures pass through them: a few at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

#: Pictures per step: small enough for the cache, and the same whatever the machine.
CHUNK = 4


def in_chunks(function: Callable[..., torch.Tensor], *inputs: torch.Tensor) -> torch.Tensor:
    """Apply ``function`` to ``CHUNK`` pictures at a time and concatenate."""
    steps = range(0, inputs[0].shape[0], CHUNK)
    return torch.cat([function(*(x[i : i + CHUNK] for x in inputs)) for i in steps])


@dataclass(frozen=True, kw_only=True)
class LinearParameters:
    """One float linear layer: ``weight`` float64 [C, K] and ``bias`` float64 [C]."""

    weight: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]

    def rows(self, start: int, stop: int) -> LinearParameters:
        """Return the layer of some output channels."""
        return LinearParameters(weight=self.weight[start:stop], bias=self.bias[start:stop])
