from dataclasses import fields

import pytest

from golden.support.errors import PotvitError
from hw.config import PRESETS, Multiplier, preset
from hw.formats.memories import memory_bytes


@pytest.mark.parametrize(("name", "macs"), [("tiny", 32), ("edge", 256), ("base", 1024)])
def test_presets(name, macs):
    config = preset(name)
    assert config.name == name
    assert config.macs == macs
    assert set(PRESETS) == {"tiny", "edge", "base"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rows": 0}, "rows must be at least 1, got 0"),
        ({"rows": 1}, "rows must be 2..32, got 1"),
        ({"rows": 33, "const_rows": 128}, "rows must be 2..32, got 33"),
        ({"lanes": 3}, "lanes must be 2, 4, 8 or 16, got 3"),
        ({"cols": 16}, "cols must be lanes or 2*lanes"),
        ({"axi_bytes": 24}, "axi_bytes must be 4, 8, 16, 32 or 64"),
        ({"head_lanes": 20}, "head_lanes must be a multiple of 2*lanes = 8"),
        ({"head_lanes": 24}, "head_lanes must be a power of two times 2*lanes = 8"),
        ({"value_words": 17}, "value_words must be a multiple of head_lanes/(2*lanes) = 2"),
        ({"max_keys": 1025}, "max_keys above 1024 would overflow 26-bit row sums"),
        ({"max_channels": 2049}, "max_channels above 2048 would overflow LayerNorm sums"),
        ({"const_rows": 3}, "const_rows must hold two row groups"),
        ({"burst_beats": 1024}, "a burst must stay within 4 KB"),
        ({"axi_bytes": 4, "burst_beats": 512, "const_rows": 4096}, "burst_beats must be at most"),
        ({"burst_beats": 33}, "const_rows must hold two bursts"),
        ({"act_words": 65537}, "act_words must be at most 65536"),
        ({"slots": 257}, "slots must be at most 256"),
        ({"max_tokens": 1025}, "max_tokens must be at most 1024"),
    ],
)
def test_illegal_combinations_name_the_rule(changes, reason):
    with pytest.raises(PotvitError) as caught:
        preset("tiny").change(**changes)
    assert reason in str(caught.value)
    assert "'tiny'" in str(caught.value)


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(PotvitError, match=r"unknown configuration 'huge'; one of tiny, edge, base"):
        preset("huge")
    with pytest.raises(PotvitError, match=r"unknown parameter 'row'; one of act_words, .*rows"):
        preset("tiny").change(row=3)


def test_derived_widths_of_base():
    config = preset("base")
    assert (config.act_bytes, config.stream_bytes, config.const_bytes) == (16, 128, 32)
    assert (config.norm_bytes, config.param_words, config.tile_act_granules) == (64, 1, 1)
    assert config.addr_bits["act"] == 12
    assert config.addr_bits["residual"] == 13
    assert config.addr_bits["token"] == 8
    assert (config.keys_per_cycle, config.code_words, config.addr_bits["code"]) == (4, 128, 6)


@pytest.mark.parametrize(("max_keys", "words"), [(64, 64), (33, 64), (32, 32), (1, 4)])
def test_code_words_hold_two_row_groups(max_keys, words):
    config = preset("tiny").change(max_keys=max_keys)
    assert config.code_words == words
    assert config.code_words // 2 * config.keys_per_cycle >= max_keys


def test_memory_sizes_hold_every_memory():
    config = preset("base")
    assert memory_bytes(config)["act"] == 3072 * 8 * 16
    assert memory_bytes(config)["stream"] == 2048 * 128
    names = {f.name.removesuffix("_words") for f in fields(config) if f.name.endswith("_words")}
    assert names <= set(memory_bytes(config))
    assert memory_bytes(config)["code"] == 2 * 256 * 8 * 5 // 8
    assert memory_bytes(config)["distance"] == 2 * 256 * 8


def test_multipliers_are_chosen_by_name_and_change_no_program():
    config = preset("tiny").change(precision="w4a8")
    packed = config.change(multiplier="dsp27x18")
    assert packed == config.change(multiplier=Multiplier.DSP27X18) != config
    assert packed.digest == config.digest
    with pytest.raises(PotvitError, match="multiplier must be plain or dsp27x18, got 'booth'"):
        config.change(multiplier="booth")
    with pytest.raises(PotvitError, match="dsp27x18 has no 4x4 mode: take precision w4a8"):
        packed.change(precision="w4a4")


def test_digest_tells_configurations_apart_but_not_names():
    config = preset("tiny")
    assert config.digest == config.change(name="other").digest == preset("tiny").digest
    others = [config.change(rows=3), config.change(queue_depth=4), config.change(precision="w8a8")]
    assert len({config.digest, *(c.digest for c in others), preset("edge").digest}) == 5
    assert 0 <= config.digest < 1 << 32
