"""How much is learned, and how fast."""

from __future__ import annotations

from dataclasses import dataclass

from golden.support.errors import PotvitError


@dataclass(frozen=True, kw_only=True)
class LearnOptions:
    """Settings of the reconstruction.

    Attributes:
        steps: of the optimizer per stage of the network.
        batch: pictures per step.
        weight4, weight8: learning rates of 4- and 8-bit weights, in their last place.
        bias: learning rate of biases, LayerNorm's beta and position constants, in the last place
            of the output.
        gamma: learning rate of LayerNorm's gamma, relative to its mean magnitude.
        seed: of the order of the pictures.
    """

    steps: int = 60
    batch: int = 32
    weight4: float = 0.01
    weight8: float = 0.05
    bias: float = 0.02
    gamma: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse impossible numbers with a ``PotvitError``."""
        for name in ("weight4", "weight8", "bias", "gamma"):
            if not 0 <= getattr(self, name) <= 1:
                raise PotvitError(f"learning rate {name} is {getattr(self, name)}, not in 0..1")
        for name, least in (("steps", 1), ("batch", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise PotvitError(f"{name} must be at least {least}, not {getattr(self, name)}")

    def rate(self, kind: str) -> float:
        """The learning rate of a kind of parameter."""
        rates = {"weight4": self.weight4, "weight": self.weight8, "gamma": self.gamma}
        return rates.get(kind, self.bias)
