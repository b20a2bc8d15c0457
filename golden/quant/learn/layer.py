"""What every node of the integer graph is in a form that learns, and the latent weights."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from golden.graph import ir
from golden.quant.learn import straight_through as st

#: Tensors by kind: ``weight``, ``weight4``, ``bias``, ``gamma``, ``beta``, ``constant``, and
#: ``step`` and ``weight_step`` where exponents learn.
Parameters = dict[str, torch.Tensor]
#: How much of the way to the real weight a latent one starts, and how far at most. Whole ways
#: put all weights that compensation moved off the nearest integer on a rounding boundary, and one
#: step of the optimizer flips them all.
SHARE, START = 0.5, 0.45
#: The last integers' latent weights stay this near to them.
MARGIN = 0.45


class Layer(Protocol):
    """One node in a form that learns.

    Edges are float32 tensors that hold integers, batch first. Parameters are distances from the
    node's constants, each in a unit in which one step of an optimizer means about the same: latent
    weights in their own last place, biases, beta and position constants in the last place of the
    output, gamma relative to its mean magnitude. ``start`` holds them before learning.
    """

    start: Parameters

    @property
    def node(self) -> ir.Node:
        """The node it was made from."""

    def __call__(self, p: Parameters, *inputs: torch.Tensor) -> torch.Tensor:
        """Return the output edge: exactly what ``learned(p)`` makes of the same inputs."""

    def learned(self, p: Parameters) -> ir.Node:
        """Return the node with ``p`` as integers."""


class Fixed:
    """A layer of which nothing is learned."""

    def __init__(self, node: ir.Node) -> None:
        self.node = node
        self.start: Parameters = {}

    def learned(self, p: Parameters) -> ir.Node:
        """Return the node."""
        return self.node


def row(values: npt.ArrayLike, device: torch.device) -> torch.Tensor:
    """Return a float32 tensor."""
    return torch.tensor(np.asarray(values, np.float32), device=device)


def powers(exponent: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return ``2**exponent``."""
    return np.exp2(exponent.astype(np.float64))


def integers(x: torch.Tensor, dtype: type) -> npt.NDArray[Any]:
    """Return whole numbers held in floats."""
    return np.rint(x.detach().cpu().double().numpy()).astype(dtype)


class LatentWeights:
    """Weights [C, K] of 8 or 4 bits, rounded to nearest from latent numbers in their last place.

    A latent starts on its way to ``wanted`` (real units; None: the weight itself) where it still
    rounds to the node's weight, so that compensated rounding is the start and what it was rounded
    from decides which weights move first.
    """

    def __init__(
        self,
        node: ir.Linear | ir.Head | ir.PatchEmbed,
        wanted: torch.Tensor | None,
        device: torch.device,
    ) -> None:
        self._bits = node.bits
        self.kind = "weight4" if node.bits == 4 else "weight"
        start = torch.tensor(node.weight.astype(np.float32))
        if wanted is not None:
            scale = torch.tensor(powers(-node.weight_exp))[:, None]
            start += (SHARE * (wanted.double() * scale - start)).clamp(-START, START).float()
        self.start = start.to(device)

    def __call__(self, p: Parameters) -> torch.Tensor:
        """Return the integer weights."""
        step = p.get("weight_step")
        return st.rounded(p[self.kind], self._bits, None if step is None else step[:, None])

    def learned(self, p: Parameters) -> npt.NDArray[np.int8]:
        """Return the integer weights as the graph holds them."""
        return integers(self(p), np.int8)


def clamp(kind: str, value: torch.Tensor) -> None:
    """Keep latent weights near what their bits can hold."""
    if kind in ("weight", "weight4"):
        limit = 8 if kind == "weight4" else 128
        with torch.no_grad():
            value.clamp_(-limit - MARGIN, limit - 1 + MARGIN)
