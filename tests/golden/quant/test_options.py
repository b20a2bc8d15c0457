"""Quantizer options: presets, bit-width maps, and one clear line for whatever is wrong."""

import json

import pytest

from golden.ops.softmax import RULE_CENTRED, RULE_FQ, RULE_HALF, AttnFormat, CodeRule
from golden.quant import BitMap, QuantOptions, Widths, bit_map
from golden.quant.vit.build import layer_names
from golden.support.errors import PotvitError


@pytest.mark.parametrize(
    ("preset", "wanted"),
    [
        ("w8a8", {"patch_embed": 8, "blocks.3.fc1": 8, "head": 8}),
        ("w4a4", {"patch_embed": 8, "blocks.3.fc1": 4, "blocks.0.q": 4, "head": 8}),
        ("w4a8", {"patch_embed": 8, "blocks.3.fc1": 4, "blocks.0.q": 4, "head": 8}),
    ],
)
def test_presets(preset, wanted):
    bits = bit_map(preset)
    assert {name: bits.bits(name) for name in wanted} == wanted
    bits.check(layer_names(12))


@pytest.mark.parametrize(("preset", "inner"), [("w8a8", 8), ("w4a8", 8), ("w4a4", 4)])
def test_presets_of_activations(preset, inner):
    bits = bit_map(preset)
    assert [bits.activations(name) for name in ("blocks.0.proj", "blocks.3.fc2")] == [inner] * 2
    assert [bits.activations(name) for name in ("patch_embed", "head")] == [8, 8]


def test_a_file_may_name_pairs(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"blocks.*": "w4a4", "blocks.*.fc2": 4, "blocks.1.*": "w8a8"}))
    bits = bit_map(str(path))
    bits.check(layer_names(3))
    names = ("blocks.0.fc1", "blocks.0.fc2", "blocks.1.fc1")
    assert [(bits.bits(n), bits.activations(n)) for n in names] == [(4, 4), (4, 8), (8, 8)]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("*", r"patch_embed cannot read 4-bit activations"),
        ("head", r"head cannot read 4-bit activations"),
        ("*.q", r"blocks\.0\.q, k and v read one LayerNorm, .* q 4, k 8, v 8 bits"),
    ],
)
def test_layers_that_cannot_read_four_bits_are_refused(pattern, message):
    bits = BitMap(name="x", patterns={pattern: Widths(weights=4, activations=4)})
    with pytest.raises(PotvitError, match=message):
        bits.check(layer_names(3))


def test_file_is_named_by_its_stem_and_the_last_match_wins(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"blocks.*": 4, "blocks.*.fc2": 8}))
    bits = bit_map(str(path))
    assert (bits.name, bits.bits("blocks.1.fc1"), bits.bits("blocks.1.fc2")) == ("mine", 4, 8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "expected an object"),
        ("{", "no readable JSON"),
        ('{"head": 5}', "'head' has 5 bits"),
        ('{"head": "w8a4"}', "4-bit activations need 4-bit weights"),
        ('{"head": true}', "not 4 or 8"),
        ('{"head": "4"}', "not 4 or 8"),
    ],
)
def test_bad_files_are_named(tmp_path, text, message):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(PotvitError, match=message) as caught:
        bit_map(str(path))
    assert "bad.json" in str(caught.value)


def test_unknown_preset_and_missing_file():
    with pytest.raises(PotvitError, match=r"neither a preset \(w8a8, w4a8, w4a4\) nor a file"):
        bit_map("w2a8")


def test_pattern_without_a_layer_is_refused():
    with pytest.raises(PotvitError, match=r"'blocks\.7\.\*' matches no layer"):
        BitMap(name="x", patterns={"blocks.7.*": Widths(weights=4)}).check(layer_names(3))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "max"}, "unknown method 'max': choose one of minmax"),
        ({"attn": "log3"}, "unknown attn"),
        ({"rounding": "up"}, "unknown rounding"),
        ({"rule": "round"}, "unknown rule"),
        ({"smoothing": "some"}, "neither auto nor a number"),
        ({"smoothing": 1.5}, "outside 0..1"),
        ({"attn": "half", "rule": "fq"}, "4-bit codes"),
        ({"rule": "half"}, "half-step codes"),
        ({"rule": CodeRule(odd=600)}, "outside 256..512"),
        ({"attn": "half", "rule": CodeRule(odd=300)}, "outside 256..512"),
        ({"prior": 0}, "prior must be positive"),
    ],
)
def test_bad_options_are_refused(changes, message):
    with pytest.raises(PotvitError, match=message):
        QuantOptions(**changes)


@pytest.mark.parametrize(
    ("changes", "fmt", "rule"),
    [
        ({}, AttnFormat.LOG2, RULE_CENTRED),
        ({"rule": "fq"}, AttnFormat.LOG2, RULE_FQ),
        ({"attn": "half"}, AttnFormat.HALF, RULE_HALF),
        ({"attn": "none"}, None, RULE_CENTRED),
        ({"rule": CodeRule(odd=360)}, AttnFormat.LOG2, CodeRule(odd=360)),
    ],
)
def test_rules_follow_the_format(changes, fmt, rule):
    options = QuantOptions(**changes)
    assert (options.format, options.code_rule) == (fmt, rule)


def test_options_are_plain_json():
    options = QuantOptions(bits=bit_map("w4a8"), rule=CodeRule(odd=340))
    again = json.loads(json.dumps(options.to_dict()))
    four = {"weights": 4, "activations": 8}
    assert again["bits"] == {"name": "w4a8", "patterns": {"blocks.*": four}}
    assert again["rule"]["odd"] == 340
