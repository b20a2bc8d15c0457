"""LayerNorm statistics of a token, gathered as its residual is written."""

from __future__ import annotations

from amaranth import signed, unsigned
from amaranth.lib import data
from amaranth.utils import ceil_log2

from hw.config import Config

X_BITS = 11  # int8 << alpha, alpha 0..3


def statistics_layout(config: Config) -> data.StructLayout:
    """S1 = sum X and S2 = sum X**2 of a token of up to ``max_channels``, X = q << alpha.

    |X| <= 2**10, so |S1| <= 2**10 * C and S2 <= 2**20 * C: 21 and 31 bits at C = 1024.
    """
    log_channels = ceil_log2(config.max_channels)
    return data.StructLayout(
        {"s1": signed(X_BITS + log_channels), "s2": unsigned(2 * X_BITS - 1 + log_channels)}
    )
