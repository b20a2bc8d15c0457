"""Widths of a token's sums, S1 and S2."""

from __future__ import annotations

from golden.ops.layernorm import ALPHA_MAX


def sum_widths(channels: int) -> tuple[int, int]:
    """Bits of S1 (signed) and S2 (unsigned) over ``channels`` values of at most ``128 << 3``."""
    largest = 128 << ALPHA_MAX
    return (channels * largest - 1).bit_length() + 1, (channels * largest**2).bit_length()
