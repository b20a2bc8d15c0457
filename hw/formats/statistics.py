"""Layout of one word of the token statistics memory: S1 and S2 of a residual row."""

from amaranth import signed, unsigned
from amaranth.lib import data

from hw.config import Config
from hw.formats.sums import sum_widths


def stat_layout(config: Config) -> data.StructLayout:
    """``s1`` (sum of ``X = q << alpha``) and ``s2`` (sum of ``X*X``) over ``max_channels``."""
    s1_bits, s2_bits = sum_widths(config.max_channels)
    return data.StructLayout({"s1": signed(s1_bits), "s2": unsigned(s2_bits)})
