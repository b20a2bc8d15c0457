"""Layout of one word of the token statistics memory: S1 and S2 of a residual row."""

from amaranth import signed, unsigned
from amaranth.lib import data

from golden.ops.layernorm import ALPHA_MAX
from hw.config import Config


def sum_widths(channels: int) -> tuple[int, int]:
    """Bits of S1 (signed) and S2 (unsigned) over ``channels`` values of at most ``128 << 3``."""
    largest = 128 << ALPHA_MAX
    return (channels * largest - 1).bit_length() + 1, (channels * largest**2).bit_length()


def stat_layout(config: Config) -> data.StructLayout:
    """``s1`` (sum of ``X = q << alpha``) and ``s2`` (sum of ``X*X``) over ``max_channels``."""
    s1_bits, s2_bits = sum_widths(config.max_channels)
    return data.StructLayout({"s1": signed(s1_bits), "s2": unsigned(s2_bits)})
