"""Tokens that NORM must get right, corners and random ones, and where they lie in the memories."""

from __future__ import annotations

import numpy as np

from hw.config import Config
from sim.benches.norm_model import Case, Ints


def corner_tokens(rng: np.random.Generator, channels: int) -> Ints:
    """All equal (V = 0), one-hot, all -128, alternating extremes, one off, small, full range."""
    ramp = np.arange(channels)
    rows = [
        np.full(channels, 7), np.zeros(channels), np.full(channels, -128),
        np.where(ramp == channels // 2, 127, 0), np.where(ramp % 2, 127, -128),
        np.where(ramp == 0, -127, -128), rng.integers(-3, 4, channels),
        rng.integers(-128, 128, channels), np.where(ramp == channels - 1, -128, 127),
    ]  # fmt: skip
    return np.stack(rows).astype(np.int64)


def random_case(rng: np.random.Generator, q: Ints, **places: int) -> Case:
    """Tokens ``q`` under random parameters, gammas of both signs and their extremes included.

    Half of them make results of 4 bits, where the configuration has these.
    """
    channels = int(q.shape[1])
    alpha = rng.integers(0, 4, (channels,))
    gamma = rng.integers(-32768, 32768, (channels,))
    gamma[: min(2, channels)] = (32767, -32768)[: min(2, channels)]
    beta = rng.integers(-(1 << 31), 1 << 31, (channels,)) >> int(rng.integers(0, 12))
    return Case(
        q=q, alpha=alpha, gamma=gamma, beta=beta,
        shift=int(rng.integers(20, 32)), narrow=bool(rng.integers(2)), **places,
    )  # fmt: skip


def channel_counts(config: Config) -> list[int]:
    """One ragged, one small, one as large as the memories of ``config`` allow."""
    block = 2 * config.lanes
    largest = min(config.max_channels, config.norm_words * config.lanes // 2 // block * block)
    return sorted({block, 3 * block - 1, min(192, largest), largest})


class Places:
    """Hands out memory, so that cases follow one another at different base addresses."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.r_addr, self.token, self.p_addr, self.d_addr = 1, config.rows, 0, 2

    def room(self, channels: int) -> int:
        """Tokens of ``channels`` that still fit."""
        c = self.config
        steps = -(-channels // (2 * c.lanes)) * 2
        if self.p_addr + steps > c.norm_words:
            return 0
        groups = (c.act_words - self.d_addr) // (steps // 2 + 1)
        words = (c.residual_words - self.r_addr) * c.cols // (steps * c.lanes)
        return max(0, min(words, c.max_tokens - self.token, groups * c.rows))

    def take(self, tokens: int, channels: int) -> dict[str, int]:
        """Places of one case as keyword arguments of `Case`."""
        c = self.config
        steps, groups = -(-channels // (2 * c.lanes)) * 2, -(-tokens // c.rows)
        places = {
            "r_addr": self.r_addr, "token": self.token, "p_addr": self.p_addr,
            "d_addr": self.d_addr,
        }  # fmt: skip
        self.r_addr += tokens * steps * c.lanes // c.cols
        self.token += groups * c.rows
        self.p_addr += steps
        self.d_addr += groups * (steps // 2 + 1)
        return places
