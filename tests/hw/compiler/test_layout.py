"""Byte layouts against docs/architecture.md, written out the slow way."""

import numpy as np
import pytest

from golden.graph import ir
from golden.ops.psmac import MacMode
from golden.support.errors import PotvitError
from hw.compiler.image.layout import (
    Dram,
    add_tiles,
    constant_rows,
    norm_words,
    pad_heads,
    pad_patch_rows,
    parameters,
    weight_chunks,
)
from hw.config import preset
from hw.program.program import Layout

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("name", ["tiny", "base"])
@pytest.mark.parametrize(("rows", "inputs"), [(16, 32), (21, 45), (3, 5)])
def test_eight_bit_chunks(name, rows, inputs):
    config = preset(name)
    cols, lanes = config.cols, config.lanes
    weight = RNG.integers(-128, 128, (rows, inputs)).astype(np.int8)
    packed = weight_chunks(weight, config, MacMode.W8)
    chunks = -(-inputs // lanes)
    assert packed.shape == (-(-rows // cols), chunks * cols * lanes)
    for c in range(packed.shape[0] * cols):
        for k in range(chunks * lanes):
            want = weight[c, k] if c < rows and k < inputs else 0
            at = (k // lanes * cols + c % cols) * lanes + k % lanes
            assert packed[c // cols].view(np.int8)[at] == want


@pytest.mark.parametrize(("rows", "inputs"), [(8, 16), (5, 19)])
def test_four_bit_chunks(rows, inputs):
    config = preset("tiny")
    cols, lanes = config.cols, config.lanes
    weight = RNG.integers(-8, 8, (rows, inputs)).astype(np.int8)
    packed = weight_chunks(weight, config, MacMode.W4)
    for c in range(rows):
        for k in range(inputs):
            chunk, within = divmod(k, 2 * lanes)
            byte = packed[c // cols][(chunk * cols + c % cols) * lanes + within % lanes]
            nibble = int(byte >> 4 if within >= lanes else byte & 15)
            assert (nibble ^ 8) - 8 == weight[c, k]


@pytest.mark.parametrize(("rows", "inputs"), [(8, 16), (5, 19), (4, 40)])
def test_chunks_of_four_products_are_pairs_of_those_of_two(rows, inputs):
    config = preset("tiny")
    weight = RNG.integers(-8, 8, (rows, inputs)).astype(np.int8)
    packed = weight_chunks(weight, config, MacMode.W4A4)
    pairs = -(-inputs // (4 * config.lanes))
    assert packed.shape[1] == 2 * pairs * config.stream_bytes
    single = weight_chunks(weight, config, MacMode.W4)
    assert np.array_equal(packed[:, : single.shape[1]], single)
    assert not packed[:, single.shape[1] :].any()


def test_parameter_bytes():
    config = preset("tiny")
    bias = np.array([1, -2, 1 << 30, 4, 5], np.int32)
    shift = np.array([-32, 31, 0, -1, 7])
    raw = parameters(
        config, 5, bias=bias, shift=shift, la=3, lo=np.arange(5), alpha=[0, 1, 2, 3, 0]
    )
    assert raw.shape == (2, config.param_words * config.stream_bytes)
    assert raw[0, 16:24].tolist() == [0, 0, 0, 64, 0, 3, 2, 2]
    assert raw[0, 8:16].tolist() == [254, 255, 255, 255, 31, 3, 1, 1]
    assert raw[1, :8].tolist() == [5, 0, 0, 0, 7, 3, 4, 0]
    assert not raw[1, 8:].any()


@pytest.mark.parametrize("field", ["shift", "la", "lo"])
def test_parameters_out_of_range_are_refused(field):
    with pytest.raises(PotvitError, match=f"'proj' needs a {field} outside"):
        parameters(preset("tiny"), 4, **{field: 32}, name="proj")


def test_norm_words():
    config = preset("tiny")
    norm = ir.LayerNorm(
        name="n", inputs=("x",), output="n", alpha=np.array([3, 0, 1]), shift=4,
        gamma=np.array([-1, 300, 2], np.int16), beta=np.array([7, -8, 1 << 20], np.int32),
    )  # fmt: skip
    raw = np.frombuffer(norm_words(norm, config), np.uint8).reshape(-1, 8)
    assert raw.shape[0] == 2 * config.lanes
    assert raw[0].tolist() == [255, 255, 3, 0, 7, 0, 0, 0]
    assert raw[1].tolist() == [44, 1, 0, 0, 248, 255, 255, 255]
    assert not raw[3:].any()


def test_constant_rows_follow_the_drain():
    config = preset("tiny")
    constant = RNG.integers(-9000, 9000, (7, 6)).astype(np.int16)
    rows = np.frombuffer(constant_rows(constant, config, 1, 2, 3), "<i2").reshape(3, 4)
    assert np.array_equal(rows[:, :2], constant[2:5, 4:])
    assert not rows[:, 2:].any()


def test_padded_heads_keep_their_products():
    weight, x = RNG.integers(-9, 9, (5, 3 * 6)), RNG.integers(-9, 9, (3, 6))
    wide = pad_heads(weight, 3, 6, 8)
    spread = np.zeros((3, 8), int)
    spread[:, :6] = x
    assert np.array_equal(wide @ spread.reshape(-1)[: wide.shape[1]], weight @ x.reshape(-1))
    assert wide.shape[1] == 3 * 8 - 2


def test_rows_of_a_patch_fill_whole_words():
    """Products with patches whose rows have zeros behind them, as GATHER leaves them."""
    weight, x = RNG.integers(-9, 9, (5, 3 * 12)), RNG.integers(-9, 9, (3, 12))
    spread = np.zeros((3, 16), int)
    spread[:, :12] = x
    wide = pad_patch_rows(weight, 3, preset("base"))
    assert np.array_equal(wide @ spread.reshape(-1), weight @ x.reshape(-1))
    assert pad_patch_rows(wide, 3, preset("base")) is wide


def test_tiles_start_at_beats_and_bursts():
    config = preset("tiny")
    dram = Dram(config)
    dram.add(b"x")
    weight = RNG.integers(-8, 8, (9, 40)).astype(np.int8)
    tiles = add_tiles(dram, config, weight, MacMode.W8, parameters(config, 9))
    assert tiles.offset % (config.axi_bytes * config.burst_beats) == 0
    assert (tiles.count, tiles.chunks, tiles.k_last, tiles.cols_last) == (3, 10, 4, 1)
    image = dram.image()
    assert len(image) == dram.size == tiles.offset + 3 * tiles.pitch * config.stream_bytes


def test_layout_unpacks_what_a_store_wrote():
    layout = Layout(
        offset=8, words=4, word_bytes=6, pitch=8, dtype="int8", dims=(2, 2, 3, 2),
        order=(0, 2, 1, 3), merged=(6, 4), crop=(5, 3), shape=(5, 3),
    )  # fmt: skip
    dram = np.zeros(64, np.uint8)
    want = RNG.integers(-128, 128, (6, 4)).astype(np.int8)
    for group in range(2):
        for word in range(2):
            part = want[3 * group : 3 * group + 3, 2 * word : 2 * word + 2]
            at = 8 + (2 * group + word) * 8
            dram[at : at + 6] = part.reshape(-1).view(np.uint8)
    assert np.array_equal(layout.unpack(dram), want[:5, :3])
    assert np.array_equal(layout.unpack(dram.tobytes()), want[:5, :3])
