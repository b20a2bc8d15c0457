"""Which operand widths an array multiplies: a set of modes, each with the wider ones."""

from __future__ import annotations

from enum import StrEnum

from golden.ops.psmac import MacMode

#: Bits of an operand in a narrow mode.
NIBBLE_BITS = 4


class Precision(StrEnum):
    """The narrowest mode that an array is generated with; it has all wider ones too.

    ``w8a8``: products of 8x8 bits alone. ``w4a8``: also two of 8x4 bits in the place of one.
    ``w4a4``: also four of 4x4 bits.
    """

    W8A8 = "w8a8"
    W4A8 = "w4a8"
    W4A4 = "w4a4"

    def __repr__(self) -> str:
        """The value, which stands for the member wherever a parameter is written."""
        return repr(self.value)

    @property
    def modes(self) -> tuple[MacMode, ...]:
        """The modes, the widest operands first."""
        return tuple(MacMode)[: list(Precision).index(self) + 1]

    def has(self, mode: MacMode) -> bool:
        """Whether the array has ``mode``."""
        return mode in self.modes
