"""A configuration of one's own: from a file, from changes, checked like a preset."""

import argparse
from dataclasses import asdict

import pytest

from golden.ops.softmax import ExpForm
from golden.support.errors import PotvitError
from hw.commands.config_arguments import add_config_arguments, chosen_config, read_config
from hw.config import PRESETS, preset
from hw.precision import Precision


def chosen(*words, **options):
    parser = argparse.ArgumentParser()
    add_config_arguments(parser, **options)
    return chosen_config(parser.parse_args(list(map(str, words))))


def written(tmp_path, text, name="my.toml"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def refused(match, *words):
    with pytest.raises(PotvitError, match=match) as caught:
        chosen(*words)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_presets_by_name():
    assert chosen() == preset("base")
    assert chosen("--config", "tiny") == preset("tiny")
    assert chosen(default=None) == preset("base")


def test_a_preset_and_changes(tmp_path):
    path = written(tmp_path, 'preset = "tiny"\nrows = 3\ncols = 8\nlanes = 4\nprecision = "w8a8"\n'
                   'exp_form = "iexp"\n')  # fmt: skip
    config = chosen("--config", path)
    assert (config.name, config.rows, config.cols, config.lanes) == ("my", 3, 8, 4)
    assert (config.precision, config.exp_form) == (Precision.W8A8, ExpForm.IEXP)
    changes = {"rows": 3, "cols": 8, "precision": Precision.W8A8, "exp_form": ExpForm.IEXP}
    assert config == preset("tiny").change(name="my", **changes)


def test_a_byte_order_mark_in_front(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('preset = "tiny"\nrows = 3\n', encoding="utf-8-sig")
    assert read_config(path).rows == 3


def test_an_empty_name_is_not_the_default():
    with pytest.raises(PotvitError, match="configuration file"):
        chosen("--config", "")


def test_all_parameters(tmp_path):
    values = asdict(preset("edge")) | {"name": "mine"}
    text = "\n".join(
        f"{k} = {v!r}".replace("True", "true").replace("'", '"') if not isinstance(v, ExpForm)
        else f'{k} = "{v.value}"'
        for k, v in values.items()
    )  # fmt: skip
    config = chosen("--config", written(tmp_path, text))
    assert config == preset("edge").change(name="mine")


def test_parameters_with_defaults_may_be_left_out(tmp_path):
    required = {k: v for k, v in asdict(preset("tiny")).items()
                if k.endswith("_words") or k in ("rows", "cols", "lanes", "axi_bytes", "slots",
                                                 "head_lanes")}  # fmt: skip
    text = "\n".join(f"{k} = {v}" for k, v in required.items())
    config = chosen("--config", written(tmp_path, text, "small one.toml".replace(" ", "_")))
    assert (config.name, config.max_keys) == ("small_one", 256)


def test_changes_on_the_command_line_stand_above_the_file(tmp_path):
    path = written(tmp_path, 'preset = "tiny"\nrows = 3\ncols = 8\n')
    config = chosen("--config", path, "--set", "rows=4", "--set", "precision=w8a8")
    assert (config.rows, config.cols, config.precision) == (4, 8, Precision.W8A8)
    assert config.name == "my-precisionw8a8-rows4"


def test_several_changes_in_one_word():
    config = chosen("--config", "tiny", "--set", " rows=4 cols=8,  precision=w8a8")
    assert (config.rows, config.cols, config.precision) == (4, 8, Precision.W8A8)


@pytest.mark.parametrize(("switch", "precision"), [("false", "w8a8"), ("true", "w4a8")])
def test_the_old_name_of_the_precision_is_understood(tmp_path, switch, precision):
    wanted = preset("tiny").change(name="my", precision=Precision(precision))
    assert chosen("--config", written(tmp_path, f'preset = "tiny"\nfour_bit = {switch}')) == wanted
    config = chosen("--config", "tiny", "--set", f"four_bit={switch}")
    assert config == wanted.change(name=f"tiny-precision{precision}")


def test_a_multiplier_without_4x4_products_leaves_the_mode_out(tmp_path):
    config = chosen("--config", "tiny", "--set", "multiplier=dsp27x18")
    assert config.precision is Precision.W4A8
    path = written(tmp_path, 'preset = "tiny"\nmultiplier = "dsp27x18"')
    assert read_config(path).precision is Precision.W4A8
    kept = chosen("--config", path, "--set", "precision=w8a8")
    assert kept.precision is Precision.W8A8


def test_a_change_that_changes_nothing_keeps_the_name():
    assert chosen("--config", "tiny", "--set", "rows=2") == preset("tiny")


def test_the_same_preset_under_its_own_name(tmp_path):
    assert read_config(written(tmp_path, 'preset = "tiny"', "tiny.toml")) == preset("tiny")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("rows = 2", "lacks cols, lanes, axi_bytes"),
        ('preset = "huge"', "preset 'huge' is none of tiny, edge, base"),
        ("preset = 3", "preset 3 is none of"),
        ('preset = "tiny"\nrow = 3', "unknown parameter 'row'; one of act_words"),
        ('preset = "tiny"\nrows = "3"', "rows is a whole number, not '3'"),
        ('preset = "tiny"\nrows = 3.0', "rows is a whole number, not 3.0"),
        ('preset = "tiny"\nrows = true', "rows is a whole number, not True"),
        ('preset = "tiny"\nrows = [3]', r"rows is a whole number, not \[3\]"),
        ('preset = "tiny"\nfour_bit = 1', "four_bit has become precision"),
        ('preset = "tiny"\nfour_bit = true\nprecision = "w4a8"', "four_bit has become precision"),
        ('preset = "tiny"\nprecision = true', "precision is one of w8a8, w4a8, w4a4, not True"),
        ('preset = "tiny"\nexp_form = "exact"', "exp_form is one of base2, iexp"),
        ('preset = "tiny"\nexp_form = 2', "exp_form is one of base2, iexp"),
        ('preset = "tiny"\nmultiplier = "dsp"', "multiplier is one of plain, dsp27x18"),
        ('preset = "tiny"\nlanes = 3', "lanes must be 2, 4, 8 or 16, got 3"),
        ('preset = "tiny"\nrows = 0', "rows must be at least 1, got 0"),
        ('preset = "tiny"\nrows = 3\nname = "base"', "'base' is a preset that differs"),
        ('preset = "tiny"\nname = "../x"', r"name '\.\./x' must start with a letter"),
        ('preset = "tiny"\nname = ""', "name '' must start with a letter"),
        ('preset = "tiny"\nname = 5', "name 5 must start with a letter"),
        ("rows = = 3", "no readable TOML"),
        ("[array]\nrows = 3", "unknown parameter 'array'"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, text, match):
    line = refused(match, "--config", written(tmp_path, text))
    assert "my.toml" in line


def test_what_is_no_file(tmp_path):
    refused("does not exist", "--config", tmp_path / "none.toml")
    refused("no readable TOML", "--config", tmp_path)
    refused("unknown configuration 'huge'; one of tiny, edge, base, or a TOML file", "--config",
            "huge")  # fmt: skip
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    refused("no readable TOML", "--config", tmp_path / "bytes.toml")


def test_a_file_must_not_pass_for_a_preset(tmp_path):
    path = written(tmp_path, 'preset = "tiny"\nrows = 3', "tiny.toml")
    refused("'tiny' is a preset that differs: choose another name", "--config", path)


@pytest.mark.parametrize(
    ("word", "match"),
    [
        ("rows", "write it as PARAMETER=VALUE"),
        ("row=3", "no such parameter"),
        ("name=x", "no such parameter"),
        ("rows=many", "a whole number"),
        ("four_bit=maybe", "the value is true or false"),
        ("four_bit=false precision=w4a8", "four_bit has become precision: w8a8 for off"),
        ("multiplier=dsp27x18 precision=w4a4", "has no 4x4 mode: take precision w4a8"),
        ("precision=w2a2", "one of w8a8, w4a8, w4a4"),
        ("exp_form=exact", "one of base2, iexp"),
        ("multiplier=booth", "one of plain, dsp27x18"),
        ("rows=1", "rows must be 2..32"),
    ],
)
def test_bad_changes(word, match):
    refused(match, "--set", word)


def test_every_parameter_of_every_preset_can_be_written(tmp_path):
    for name in PRESETS:
        config = read_config(written(tmp_path, f'preset = "{name}"\nname = "copy"'))
        assert config == preset(name).change(name="copy")
