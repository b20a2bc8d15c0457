"""Ports that two units share, one of which never waits: the drain writes, the array reads."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from hw.formats.memories import Space


class WritePorts:
    """When the drain writes, and how long words that LOAD brings wait for it.

    The memories are those with one port for both. (In ACT they meet only within a bank.) A drained
    tile is a *burst* of a write in each of ``rows`` cycles.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._begins: dict[Space, list[int]] = {Space.STREAM: [], Space.RESIDUAL: []}

    def shares(self, space: Space) -> bool:
        """Do the drain and loads share the port of ``space``?"""
        return space in self._begins

    def drain(self, space: Space, begins: Iterable[int]) -> None:
        """Bursts into ``space`` begin in these cycles, in order of time over all calls."""
        self._begins[space] += begins

    def loaded(self, space: Space, time: int, words: int, gap: int) -> int:
        """Cycle after which ``words`` are written that begin to arrive at ``time``.

        A word is complete ``gap`` cycles after the one before has been written, as the unit holds
        one word; while a burst is under way it waits.
        """
        begins = self._begins[space]
        at = max(0, bisect_right(begins, time) - 1)
        while words and at < len(begins):
            before = min(words, max(0, (begins[at] - 1 - time) // gap))
            time, words = time + before * gap, words - before
            end = begins[at] + self._rows
            if words and time + gap < end:
                time, words = end, words - 1
            at += 1
        return time + words * gap


class ReadPort:
    """When the array reads a memory, and how long a STORE of it waits: the array never does."""

    def __init__(self) -> None:
        self._runs: list[tuple[int, int, int]] = []

    def taken(self, begin: int, end: int, reads: int) -> None:
        """The array reads ``reads`` times between two cycles, in order of time over all calls."""
        self._runs.append((begin, end, reads))

    def read(self, time: int, count: int) -> int:
        """Cycle after which ``count`` words are read from ``time`` on, spread evenly over gaps."""
        for begin, end, reads in self._runs[self._behind(time) :]:
            free = max(0, begin - time)
            if count <= free:
                return time + count
            time, count = max(time, begin), count - free
            gaps = (end - begin - reads) * (end - time) // (end - begin)
            if count <= gaps:
                return time + count * (end - time) // gaps
            time, count = end, count - gaps
        return time + count

    def _behind(self, time: int) -> int:
        """The first run that ends behind ``time``."""
        return bisect_right(self._runs, time, key=lambda run: run[1])
