"""What LayerNorm needs of one channel: eight bytes, K channels to a word of NORM."""

from __future__ import annotations

from golden.ops.layernorm import ALPHA_MAX
from hw.config import NORM_CHANNEL_BYTES
from hw.formats.record import Number, Record

#: Gain, PTF exponent, offset of a normalised channel; byte 3 is zero.
NORM_CHANNEL = Record(
    size=NORM_CHANNEL_BYTES,
    numbers={
        "gamma": Number(at=0, bits=16, signed=True),
        "alpha": Number(at=2, bits=ALPHA_MAX.bit_length()),
        "beta": Number(at=4, bits=32, signed=True),
    },
)
