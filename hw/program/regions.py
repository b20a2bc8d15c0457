"""The parts of the DRAM window: who fills each, in the order in which they lie there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hw.lib.numbers import round_up

PAGE = 4096


class Region(StrEnum):
    """A named part of the window.

    ``parameters`` and ``program`` are the image, which the host writes once; the picture comes per
    run; what tensors without room on chip leave in ``spill`` is the run's own business; results
    and checkpoints appear in ``outputs``.
    """

    PARAMETERS = "parameters"
    PROGRAM = "program"
    PICTURE = "picture"
    SPILL = "spill"
    OUTPUTS = "outputs"


@dataclass(frozen=True, kw_only=True)
class Extent:
    """``size`` bytes from window offset ``offset``."""

    offset: int
    size: int

    @property
    def end(self) -> int:
        """The offset behind it."""
        return self.offset + self.size


Regions = dict[Region, Extent]


def lay_out(sizes: dict[Region, int]) -> Regions:
    """Place the regions one behind the other, each at a page; empty ones take no room."""
    found, at = {}, 0
    for region in Region:
        size = sizes.get(region, 0)
        at = round_up(at, PAGE) if size else at
        found[region] = Extent(offset=at, size=size)
        at += size
    return found


def window_bytes(regions: Regions) -> int:
    """Bytes of the window that holds all regions, whole pages."""
    return round_up(max(e.end for e in regions.values()), PAGE)
