"""Footprints against an instruction walked number by number."""

import dataclasses

import numpy as np
import pytest

from hw.config import preset
from hw.formats.memories import Access, Space
from hw.isa.payload import Attend, Gather, Load, Matmul, Mem, Norm, Store
from hw.program.destination import DESTINATIONS, Act, Key, Logit, Out, Residual, Value
from hw.program.footprint import footprint

CONFIGS = [preset("tiny"), preset("edge"), preset("base"), preset("tiny").change(rows=3)]


def matmul(**fields):
    return Matmul(**{"chunks": 5, "groups": 3, "tiles": 2, "rows_last": 2, "cols_last": 3,
                     "k_last": 1, **fields})  # fmt: skip


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.name}{c.rows}")
@pytest.mark.parametrize(
    "place",
    [Act(base=7, stride=9), Key(base=20, stride=16), Value(base=4), Logit(base=3, slot=2),
     Residual(base=-5, stride=12), Out(base=6)],
    ids=lambda p: type(p).__name__,
)  # fmt: skip
def test_declared_words_are_exactly_the_hull_of_those_written(config, place):
    groups = 1 if isinstance(place, Logit | Out) else 3
    token, tile = 2 * config.rows, 1
    f = matmul(groups=groups, **place.fields(token, tile, config))
    words = place.index(f, config)[0]
    hull = Access(Space(place.mem), int(words.min()), int(words.max()) + 1)
    assert place.writes(f, config)[0] == hull
    assert DESTINATIONS[place.mem] is type(place)


def test_no_two_numbers_of_a_tensor_meet():
    """Tiles and groups written one instruction at a time fill different places of one region."""
    config = preset("base")
    seen = set()
    for token in (0, 8, 24):
        for tile in (0, 2):
            f = matmul(groups=1, rows_last=8, **Act(base=3, stride=4).fields(token, tile, config))
            word, bank, lane = np.broadcast_arrays(*Act.index(f, config))
            found = set(zip(word.ravel(), bank.ravel(), lane.ravel(), strict=True))
            assert len(found) == word.size
            assert not seen & found
            seen |= found


def test_products_and_parameters():
    config = preset("tiny")
    f = matmul()
    made = footprint(f, config)
    assert made.macs == (2 * 2 + 2) * (4 + 3) * (4 * 4 + 1)
    assert made.array_cycles == 2 * 3 * 5
    assert made.param_sets == 2
    assert footprint(dataclasses.replace(f, shared_params=True), config).param_sets == 1
    assert footprint(dataclasses.replace(f, keep_params=True), config).param_sets == 0
    wide = dataclasses.replace(f, w4=True, zero_first=True, chunks=2, const_old=True)
    made = footprint(wide, config)
    assert made.macs == (2 * 2 + 2 - 1) * 7 * (8 + 1)
    assert made.array_cycles == 2 * 3 * 4
    assert made.const_rows == 6 * 2


def test_dma_counts_beats_and_words():
    config = preset("base")
    made = footprint(Load(dest=Mem.GELU, words=256, beats=8, dram=64), config)
    assert (made.beats_in, made.words_in) == (8, 256)
    assert made.reads == (Access(Space.DRAM, 2, 10),)
    made = footprint(
        Gather(
            addr=5, stride=48, beats=84, seg_bytes=48, segs=14, rows=4, runs=1, bank=3, line_addr=3
        ),
        config,
    )
    assert made.writes == (Access(Space.ACT, 5, 5 + 2 * 48 + 4 * 3),)
    assert made.words_in == 14 * 4 * 3
    made = footprint(Store(src=Mem.RESIDUAL, addr=4, words=3, dram=32), config)
    assert (made.reads, made.writes) == (
        (Access(Space.RESIDUAL, 4, 7),), (Access(Space.DRAM, 1, 4),),
    )  # fmt: skip


def test_codes_are_written_only_where_asked():
    config = preset("tiny")
    body = Attend(l_addr=8, keys=9, d_addr=3, d_words=2)
    assert footprint(body, config).writes == (Access(Space.ACT, 3, 5),)
    both = footprint(dataclasses.replace(body, write_codes=True), config)
    assert Access(Space.LOGIT, 8, 11) in both.writes


def test_norm_reads_its_tokens():
    config = preset("base")
    made = footprint(Norm(r_addr=24, token=8, count=9, steps=24, d_addr=100, d_stride=12), config)
    assert made.reads[0] == Access(Space.RESIDUAL, 24, 24 + 9 * 12)
    assert made.writes == (Access(Space.ACT, 100, 100 + 12 + 12),)
