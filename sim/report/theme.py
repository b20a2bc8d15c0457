"""Colours that follow the reader's choice of a light or a dark page.

Drawings are made in the light colours. On the HTML page each of these becomes a CSS variable, which
the page's style sheet redefines for dark screens; files of their own keep the light colours.
"""

from __future__ import annotations

import re

INK = "#1d2733"
MUTED = "#46535f"
EDGE = "#8894a0"
GRID = "#e6ebf0"
#: Not quite white: white letters on coloured bars stay white.
PAPER = "#fefefe"
IDLE = "#dfe4ea"
MARK = "#000000"

#: Colour of a drawing to variable of the page.
VARIABLES = {
    INK: "--ink", MUTED: "--muted", EDGE: "--edge", GRID: "--grid", PAPER: "--paper",
    IDLE: "--idle", MARK: "--ink",
}  # fmt: skip
_COLOUR = re.compile("|".join(VARIABLES))


def themed(svg: str) -> str:
    """``svg`` with every colour of `VARIABLES` replaced by its variable."""
    return _COLOUR.sub(lambda found: f"var({VARIABLES[found[0]]}, {found[0]})", svg)
