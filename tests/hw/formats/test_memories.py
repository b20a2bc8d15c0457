"""Rows of the table of memories against docs/architecture.md, and their way to DRAM."""

import pytest

from hw.config import PRESETS, preset
from hw.formats.memories import Space, memories, memory_bytes, moved_beats


@pytest.mark.parametrize("name", list(PRESETS))
def test_words_by_the_documentation(name):
    c = preset(name)
    rows = memories(c)
    assert rows.keys() == set(Space) - {Space.DRAM}
    sizes = {
        Space.ACT: c.rows * 2 * c.lanes,
        Space.STREAM: c.cols * c.lanes,
        Space.VALUE: c.head_lanes,
        Space.LOGIT: c.rows * c.cols,
        Space.RESIDUAL: c.cols,
        Space.OUT: 4 * c.cols,
        Space.NORM: 8 * c.lanes,
        Space.GELU: c.cols,
        Space.CONST: 2 * c.cols,
        Space.MAXIMA: c.rows,
    }
    for space, size in sizes.items():
        assert rows[space].bytes_ == size, space.name
        assert rows[space].moved == (1 if space is Space.GELU else size), space.name
    sizes = memory_bytes(c)
    assert sizes["act"] == c.act_words * c.rows * 2 * c.lanes
    assert sizes["const"] == c.const_rows * 2 * c.cols
    assert sizes["gelu"] == 256 * c.cols
    assert not {"statistics", "maxima"} & sizes.keys()


def test_beats_packed_and_whole():
    c = preset("base")
    assert moved_beats(Space.GELU, 256, c, packed=True) == 8
    assert moved_beats(Space.RESIDUAL, 3, c, packed=True) == 2
    assert moved_beats(Space.RESIDUAL, 3, c, packed=False) == 3
    assert moved_beats(Space.STREAM, 3, c, packed=False) == 12
