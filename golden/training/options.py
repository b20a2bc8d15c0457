"""How a quantized network is trained."""

from __future__ import annotations

from dataclasses import dataclass

from golden.support.errors import PotvitError

#: Learning rates by kind of parameter, as multiples of the one that is set: that of 4-bit weights
#: in their last place. 8-bit weights are in theirs, biases, beta and position constants in the
#: last place of the output, gamma relative to its mean, steps in octaves.
FACTORS = {
    "weight4": 1.0,
    "weight": 5.0,
    "gamma": 0.1,
    "step": 0.5,
    "weight_step": 0.5,
}
OTHERS = 2.0


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Settings of the fine-tuning.

    Attributes:
        epochs: passes over the pictures.
        lr: learning rate of 4-bit weights in their last place; `FACTORS` has the others.
        weight_decay: share of a latent weight that is taken off per unit of its rate.
        batch: pictures per step.
        hard: what the cross-entropy of labels counts for beside the float network's divergence.
        pull: what saturated values of the residual stream count for.
        seed: of the order of the pictures.
    """

    epochs: int = 10
    lr: float = 0.005
    weight_decay: float = 0.0
    batch: int = 64
    hard: float = 0.0
    pull: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse impossible numbers with a ``PotvitError``."""
        for name, most in (("lr", 1), ("weight_decay", 1), ("hard", 1000), ("pull", 1000)):
            if not 0 <= getattr(self, name) <= most:
                raise PotvitError(f"{name} is {getattr(self, name)}, not in 0..{most}")
        for name, least in (("epochs", 1), ("batch", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise PotvitError(f"{name} must be at least {least}, not {getattr(self, name)}")

    def rate(self, kind: str) -> float:
        """The learning rate of a kind of parameter."""
        return self.lr * FACTORS.get(kind, OTHERS)
