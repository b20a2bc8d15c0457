"""The configurations that an exploration tries, derived from one preset."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from golden.support.errors import PotvitError
from hw.config import Config
from hw.formats.memories import memory_bytes


@dataclass(frozen=True, kw_only=True)
class Point:
    """One combination of the swept parameters; ``buffers`` scales the preset's buffer bytes."""

    rows: int
    cols: int
    lanes: int
    axi_bytes: int
    buffers: float

    @property
    def name(self) -> str:
        """Short name: rows x columns x lanes, bus bits, buffer share."""
        shape = f"{self.rows}x{self.cols}x{self.lanes}"
        return f"{shape}-bus{8 * self.axi_bytes}-buf{self.buffers:g}"


def sweep(preset: Config) -> list[Point]:
    """Around ``preset``: half to double rows and columns, lanes and bus, buffers down to a quarter.

    Combinations that are no configuration are in it too: they are reported with the rule they
    break.
    """

    def around(value: int) -> tuple[int, ...]:
        return (value // 2, value, 2 * value)

    axes = (
        around(preset.rows),
        around(preset.cols),
        around(preset.lanes),
        around(preset.axi_bytes),
        (0.25, 0.5, 1.0),
    )
    return [
        Point(rows=r, cols=c, lanes=k, axi_bytes=a, buffers=b)
        for r, c, k, a, b in itertools.product(*axes)
        if r and c and k and a
    ]


def configuration(preset: Config, point: Point) -> Config:
    """``preset`` reshaped to ``point``.

    Activation, stream and residual buffers keep the preset's bytes times ``point.buffers``; the
    others keep what a network needs of them: their bytes, or their words per row group.

    Raises:
        PotvitError: the combination is no configuration; the message names the rule.
    """
    rows, cols, lanes = point.rows, point.cols, point.lanes
    burst = min(preset.burst_beats, 4096 // point.axi_bytes)
    const_rows = max(
        preset.const_rows, 2 * rows, -(-2 * burst * point.axi_bytes // (2 * cols))
    )  # two row groups, two bursts

    def words(name: str, word_bytes: int, share: float = 1.0) -> int:
        return max(1, min(1 << 16, int(share * memory_bytes(preset)[name]) // word_bytes))

    changes: dict[str, Any] = {
        "name": point.name,
        "rows": rows,
        "cols": cols,
        "lanes": lanes,
        "axi_bytes": point.axi_bytes,
        "burst_beats": burst,
        "const_rows": const_rows,
        "act_words": words("act", rows * 2 * lanes, point.buffers),
        "stream_words": words("stream", cols * lanes, point.buffers),
        "residual_words": words("residual", cols, point.buffers),
        "logit_words": words("logit", rows * cols),
        "out_words": words("out", 4 * cols),
        "norm_words": words("norm", 8 * lanes),
        "slots": min(256, -(-preset.slots * preset.rows // rows)),
    }
    return preset.change(**changes)


def reason(error: PotvitError, point: Point) -> str:
    """What a refusal says, without the point's own name: equal reasons then read equal."""
    return str(error).replace(f" of configuration {point.name!r}", "").replace(
        f"configuration {point.name!r}: ", ""
    )  # fmt: skip
