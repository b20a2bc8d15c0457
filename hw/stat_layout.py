"""Layout of one word of the token statistics memory: S1 and S2 of a residual row."""

from amaranth import signed, unsigned
from amaranth.lib import data

from golden.ops.layernorm import ALPHA_MAX
from hw.config import Config


def stat_layout(config: Config) -> data.StructLayout:
    """``s1`` (sum of ``X = q << alpha``) and ``s2`` (sum of ``X*X``), wide enough for
    ``max_channels`` values of ``|X| <= 128 << 3``: 21 and 31 bits at 1024 channels.
    """
    largest = 128 << ALPHA_MAX
    s1_bits = (config.max_channels * largest - 1).bit_length() + 1
    s2_bits = (config.max_channels * largest**2).bit_length()
    return data.StructLayout({"s1": signed(s1_bits), "s2": unsigned(s2_bits)})
