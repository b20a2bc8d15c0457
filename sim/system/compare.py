"""Bit-for-bit comparison of one tensor."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class Compared:
    """The outcome for one tensor: elements looked at and the first that differs, if any."""

    tensor: str
    elements: int
    different: int
    index: tuple[int, ...] = ()
    got: int = 0
    want: int = 0

    def __str__(self) -> str:
        """One line: equal, or the first difference."""
        if not self.different:
            return f"{self.tensor}: {self.elements} equal"
        return (
            f"{self.tensor}{list(self.index)}: got {self.got}, want {self.want} "
            f"({self.different} of {self.elements} differ)"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a report."""
        return asdict(self) | {"index": list(self.index)}


def compare(tensor: str, got: npt.NDArray[Any], want: npt.NDArray[Any]) -> Compared:
    """Compare integers of the same shape; an empty tensor is an error, never a success."""
    if got.shape != want.shape:
        raise AssertionError(f"{tensor}: got shape {got.shape}, want {want.shape}")
    if want.size == 0:
        raise AssertionError(f"{tensor}: nothing to compare")
    wrong = np.argwhere(got.astype(np.int64) != want.astype(np.int64))
    if not len(wrong):
        return Compared(tensor=tensor, elements=want.size, different=0)
    at = tuple(int(i) for i in wrong[0])
    return Compared(
        tensor=tensor, elements=want.size, different=len(wrong), index=at,
        got=int(got[at]), want=int(want[at]),
    )  # fmt: skip
