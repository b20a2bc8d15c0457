"""What the drain needs of one output channel: eight bytes in front of each weight tile."""

from __future__ import annotations

from golden.ops.layernorm import ALPHA_MAX
from golden.ops.residual import ResidualAdd
from hw.config import CHANNEL_BYTES
from hw.formats.record import Number, Record

_ADD = ResidualAdd()

#: Bias of the sum, right shift of the result, left shifts of sum and old residual, PTF exponent.
CHANNEL = Record(
    size=CHANNEL_BYTES,
    numbers={
        "bias": Number(at=0, bits=32, signed=True),
        "shift": Number(at=4, bits=_ADD.shift_bits, signed=True),
        "la": Number(at=5, bits=_ADD.align_bits),
        "lo": Number(at=6, bits=_ADD.align_bits),
        "alpha": Number(at=7, bits=ALPHA_MAX.bit_length()),
    },
)
