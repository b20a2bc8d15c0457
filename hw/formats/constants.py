"""The constants that the drain adds, int16, Cn to a row in the order of the drain."""

from __future__ import annotations

#: With ``masked`` logits, the constant of a key that the query must not see. A bias has 8 bits, so
#: the two highest bits of a constant differ here and nowhere else.
MASK = -(1 << 15)
