"""The FIFO of position constants between the LOAD unit and the drain, row by row."""

from __future__ import annotations

from collections.abc import Iterable


class ConstantFifo:
    """Times at which rows enter and leave a FIFO of ``capacity`` rows.

    Rows enter one a cycle. A row that finds it full enters the cycle after the one ``capacity``
    before it has left.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._pushed: list[int] = []
        self._popped: list[int] = []

    def takes(self, rows: int) -> bool:
        """Is it known when ``rows`` more can enter?"""
        return len(self._pushed) + rows - self.capacity <= len(self._popped)

    def has(self, rows: int) -> bool:
        """Is it known when the next ``rows`` to leave have entered?"""
        return len(self._pushed) >= len(self._popped) + rows

    def push(self, earliest: int) -> int:
        """One row enters, not before ``earliest``; when it does."""
        index = len(self._pushed)
        time = max(earliest, self._pushed[-1] + 1 if self._pushed else 0)
        if index >= self.capacity:
            time = max(time, self._popped[index - self.capacity] + 1)
        self._pushed.append(time)
        return time

    def entered(self, rows: int) -> int:
        """When the last of the next ``rows`` to leave has entered."""
        return self._pushed[len(self._popped) + rows - 1]

    def pop(self, times: Iterable[int]) -> None:
        """Rows leave at ``times``."""
        self._popped += times
