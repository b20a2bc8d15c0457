"""A record of numbers at fixed bytes: how software packs it and what hardware keeps of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class Number:
    """A number of ``bits`` bits in whole bytes from byte ``at``, little endian."""

    at: int
    bits: int
    signed: bool = False

    @property
    def bytes_(self) -> int:
        """Bytes it takes in the record."""
        return -(-self.bits // 8)

    @property
    def range(self) -> range:
        """The values it can have."""
        low = -(1 << (self.bits - 1)) if self.signed else 0
        return range(low, low + (1 << self.bits))


@dataclass(frozen=True, kw_only=True)
class Record:
    """``size`` bytes that hold ``numbers`` by name; bytes that belong to none are zero."""

    size: int
    numbers: dict[str, Number]

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """The record as a NumPy type."""
        numbers = self.numbers.values()
        return np.dtype(
            {
                "names": list(self.numbers),
                "formats": [f"<{'i' if n.signed else 'u'}{n.bytes_}" for n in numbers],
                "offsets": [n.at for n in numbers],
                "itemsize": self.size,
            }
        )

    def pack(self, count: int, **values: npt.ArrayLike) -> npt.NDArray[np.uint8]:
        """Bytes [count, size]; each value is one number for all or ``count`` of them.

        ``ValueError`` names a value that its bits do not hold.
        """
        raw = np.zeros((count, self.size), np.uint8)
        records = raw.view(self.dtype)[:, 0]
        for name, value in values.items():
            given, legal = np.asarray(value, np.int64), self.numbers[name].range
            if given.size and (given.min() < legal.start or given.max() >= legal.stop):
                raise ValueError(f"{name} outside {legal.start}..{legal.stop - 1}")
            records[name] = given
        return raw

    def unpack(self, raw: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[np.int64]]:
        """The numbers, int64 [...], of bytes [..., size]; bits that hardware drops are dropped."""
        records = np.ascontiguousarray(raw).view(self.dtype)[..., 0]
        found = {}
        for name, number in self.numbers.items():
            value = records[name].astype(np.int64) & ((1 << number.bits) - 1)
            top = (1 << (number.bits - 1)) if number.signed else 0
            found[name] = (value ^ top) - top
        return found
