"""Shifted windows and patch merging: token orders, which hardware makes by addresses alone.

A token order is an index: output token ``i`` is input token ``order[i]``, or zeros where that is
-1. `Windows.compute` and `merge` state the same by rolling, padding and reshaping; that form is
the reference, the index is what executor and compiler use.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Run:
    """Consecutive tokens on both sides: ``count`` from ``source`` on go to ``target`` on.

    ``source`` is None for tokens that are zeros.
    """

    target: int
    source: int | None
    count: int


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Parameters of a window order (Swin Transformer, section 3.2, as timm computes it).

    Tokens in rows of ``grid`` (height, width) are rolled by ``-shift``, padded with zero tokens at
    the bottom and the right to whole windows, and cut into ``window`` (height, width); windows
    follow each other in rows, and so do the tokens of a window. Inside the last row and column of
    windows the shift splits regions of the picture that do not belong together: a query does not
    see keys of another region (`masked`). Raises ``ValueError`` for sizes below 1 and for a shift
    outside the window.
    """

    grid: tuple[int, int]
    window: tuple[int, int]
    shift: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        """Refuse sizes that mean nothing."""
        for name in ("grid", "window", "shift"):
            value = tuple(getattr(self, name))
            if len(value) != 2 or not all(isinstance(x, int | np.integer) for x in value):
                raise ValueError(f"{name} {value} is no pair of whole numbers")
            object.__setattr__(self, name, (int(value[0]), int(value[1])))
        if min(self.grid + self.window) < 1:
            raise ValueError(f"grid {self.grid} and window {self.window} must be positive")
        if not all(0 <= s < w for s, w in zip(self.shift, self.window, strict=True)):
            raise ValueError(f"shift {self.shift} is not inside the window {self.window}")

    @classmethod
    def fitted(cls, grid: tuple[int, int], window: int, shift: int) -> Windows:
        """Return timm's choice: a side not longer than ``window`` is one window, unshifted."""
        return cls(
            grid=grid,
            window=(min(grid[0], window), min(grid[1], window)),
            shift=(shift if grid[0] > window else 0, shift if grid[1] > window else 0),
        )

    @property
    def counts(self) -> tuple[int, int]:
        """Windows in a column and in a row."""
        (h, w), (wh, ww) = self.grid, self.window
        return -(-h // wh), -(-w // ww)

    @property
    def count(self) -> int:
        """How many windows there are."""
        return self.counts[0] * self.counts[1]

    @property
    def size(self) -> int:
        """Tokens of a window."""
        return self.window[0] * self.window[1]

    @property
    def tokens(self) -> int:
        """Tokens before the order: those of the grid."""
        return self.grid[0] * self.grid[1]

    @property
    def ordered(self) -> int:
        """Tokens behind the order, padded ones included."""
        return self.count * self.size

    @property
    def masks(self) -> bool:
        """Whether some query must not see some key of its window."""
        return any(self.shift)

    def compute(self, x: Array) -> Array:
        """Return [ordered, C] in window order of ``x`` [tokens, C] in rows of the grid."""
        (h, w), (wh, ww), (rows, columns) = self.grid, self.window, self.counts
        picture = np.roll(x.reshape(h, w, -1), (-self.shift[0], -self.shift[1]), (0, 1))
        picture = np.pad(picture, ((0, rows * wh - h), (0, columns * ww - w), (0, 0)))
        cut = picture.reshape(rows, wh, columns, ww, -1).transpose(0, 2, 1, 3, 4)
        return np.ascontiguousarray(cut.reshape(self.ordered, -1))

    def reverse(self, x: Array) -> Array:
        """Return [tokens, C] in rows of the grid of ``x`` [ordered, C]; padded tokens go."""
        (h, w), (wh, ww), (rows, columns) = self.grid, self.window, self.counts
        cut = x.reshape(rows, columns, wh, ww, -1).transpose(0, 2, 1, 3, 4)
        picture = cut.reshape(rows * wh, columns * ww, -1)[:h, :w]
        return np.roll(picture, self.shift, (0, 1)).reshape(self.tokens, -1)

    def order(self) -> Ints:
        """Return [ordered]: the grid's token that comes at each place, -1 for padding."""
        numbers = np.arange(1, self.tokens + 1, dtype=np.int64)
        return self.compute(numbers)[:, 0] - 1

    def places(self) -> Ints:
        """Return [tokens]: the place of each of the grid's tokens in the order."""
        order = self.order()
        places = np.empty(self.tokens, np.int64)
        places[order[order >= 0]] = np.flatnonzero(order >= 0)
        return places

    def regions(self) -> Ints:
        """Return [count, size]: a number per region; tokens of a window see their own only.

        Only the last row and column of windows have more than one: there the last ``shift`` rows
        (or columns) of a window come from the other side of the picture.
        """
        (rows, columns), (wh, ww) = self.counts, self.window

        def split(counts: int, size: int, shift: int) -> Ints:
            inside = np.arange(counts * size).reshape(counts, size) % size
            last = np.arange(counts)[:, None] == counts - 1
            return (last & (inside >= size - shift) & (shift > 0)).astype(np.int64)

        down, right = split(rows, wh, self.shift[0]), split(columns, ww, self.shift[1])
        both = 2 * down[:, None, :, None] + right[None, :, None, :]
        return np.asarray(both.reshape(self.count, self.size))

    def masked(self) -> npt.NDArray[np.bool_]:
        """Return [count, size, size]: whether a query (row) must not see a key (column)."""
        regions = self.regions()
        return np.asarray(regions[:, :, None] != regions[:, None, :])

    def runs(self) -> list[Run]:
        """Return the order as the fewest runs of consecutive tokens, in the order's sequence."""
        found: list[Run] = []
        for target, source in enumerate(self.order().tolist()):
            last = found[-1] if found else None
            if last is not None and (
                (source < 0 and last.source is None)
                or (last.source is not None and source == last.source + last.count)
            ):
                found[-1] = Run(target=last.target, source=last.source, count=last.count + 1)
            else:
                found.append(Run(target=target, source=source if source >= 0 else None, count=1))
        return found

    def bias(self, table: Array) -> Array:
        """Gather a relative position table [(2h-1)(2w-1), H] of the window: [H, size, size].

        Query (y, x) and key (v, u) share entry ``(y - v + h - 1)*(2w - 1) + x - u + w - 1``.
        """
        (h, w), place = self.window, np.arange(self.size)
        y, x = place // w, place % w
        index = (y[:, None] - y[None, :] + h - 1) * (2 * w - 1) + x[:, None] - x[None, :] + w - 1
        return np.ascontiguousarray(np.asarray(table)[index].transpose(2, 0, 1))


@dataclass(frozen=True, kw_only=True)
class PatchMerge:
    """Parameters of patch merging: four neighbours become one token of four times the channels.

    ``grid`` (height, width) is the order's input; an odd side is padded with zero tokens. The
    channels of a merged token are those of its neighbours (0, 0), (1, 0), (0, 1), (1, 1), given
    as (row, column), as timm concatenates them. Raises ``ValueError`` for sizes below 1.
    """

    grid: tuple[int, int]

    def __post_init__(self) -> None:
        """Refuse sizes that mean nothing."""
        object.__setattr__(self, "grid", (int(self.grid[0]), int(self.grid[1])))
        if min(self.grid) < 1:
            raise ValueError(f"grid {self.grid} must be positive")

    @property
    def merged(self) -> tuple[int, int]:
        """The grid behind merging."""
        return (self.grid[0] + 1) // 2, (self.grid[1] + 1) // 2

    def compute(self, x: Array) -> Array:
        """Return [merged tokens, 4C] of ``x`` [tokens, C]."""
        (h, w), (rows, columns) = self.grid, self.merged
        picture = np.pad(x.reshape(h, w, -1), ((0, h % 2), (0, w % 2), (0, 0)))
        cut = picture.reshape(rows, 2, columns, 2, -1).transpose(0, 2, 3, 1, 4)
        return np.ascontiguousarray(cut.reshape(rows * columns, -1))

    def order(self) -> Ints:
        """Return [merged tokens, 4]: the tokens side by side in each place, -1 for padding."""
        numbers = np.arange(1, self.grid[0] * self.grid[1] + 1, dtype=np.int64)
        return self.compute(numbers) - 1
