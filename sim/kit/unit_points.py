"""Configurations at which the units that surround the array are tested, beside the presets."""

from __future__ import annotations

from hw.config import PRESETS

_TINY = PRESETS["tiny"]
ODD = _TINY.change(name="odd", rows=3, cols=8)
#: Every bus width, twice below a word; three and five rows; short and long bursts; one outstanding.
POINTS = (
    _TINY.change(name="bus4", rows=5, cols=8, axi_bytes=4, max_channels=320, outstanding=1),
    _TINY.change(name="bus16", rows=3, cols=8, axi_bytes=16, burst_beats=5, max_channels=100),
    _TINY.change(name="bus32", rows=3, cols=8, axi_bytes=32, const_rows=256, burst_beats=64),
    _TINY.change(
        name="bus64", rows=2, lanes=2, cols=4, axi_bytes=64, const_rows=256, norm_words=128
    ),
)
#: Configurations at which every unit has a bench.
SHARED = (*PRESETS.values(), ODD)
