"""Target asic: libraries, macros, netlists and the longest path."""

import json
import re

import pytest

from golden.support.command_line import main
from golden.support.errors import PotvitError
from hw.lib.memory import memory_verilog
from synth.__main__ import COMMANDS
from synth.asic.corners import read_cells
from synth.asic.macros import Macro, memory_module, module_name, read_macros, tile
from synth.asic.timing import read_path
from synth.cells import liberty_text
from synth.hierarchy import Memory
from synth.yosys import run_script

PLAIN = 'ff(IQ, IQN) { clocked_on : "C"; next_state : "D"; }'
RESET = 'ff(IQ, IQN) { clocked_on : "C"; next_state : "D"; clear : "!R"; }'
MACRO = """
library(ram) { cell(RAM4x2) { area : 50;
  memory() { type : ram; address_width : 2; word_width : 2; }
  bus(A_ADDR) { pin(A_ADDR[1:0]) { direction : input; } } pin(A_CLK) { direction : input; }
  bus(A_DIN) { pin(A_DIN[1:0]) { direction : input; } } pin(A_MEN) { direction : input; }
  pin(A_WEN) { direction : input; } pin(B_CLK) { direction : input; }
  bus(B_ADDR) { pin(B_ADDR[1:0]) { direction : input; } } pin(B_REN) { direction : input; }
  bus(B_DOUT) { pin(B_DOUT[1:0]) { direction : output; } } pin(B_DLY) { direction : input; }
} }
"""
BEHAVIOUR = """
module RAM4x2 (input A_CLK, A_MEN, A_WEN, input [1:0] A_ADDR, A_DIN,
               input B_CLK, B_REN, B_DLY, input [1:0] B_ADDR, output reg [1:0] B_DOUT);
    reg [1:0] words [0:3];
    always @(posedge A_CLK) if (A_MEN && A_WEN) words[A_ADDR] <= A_DIN;
    always @(posedge B_CLK) if (B_REN) B_DOUT <= words[B_ADDR];
endmodule
"""
IN_RANGE = "always @* assume (rd_addr < DEPTH && wr_addr < DEPTH); endmodule"
EQUAL = """
read_verilog tiled.v
read_verilog macro.v
hierarchy -top {tiled}
proc
flatten
memory
opt -full
rename {tiled} gate
read_verilog -formal memory.v
chparam -set WIDTH {width} -set DEPTH {depth} potvit_mem_1r1w
proc
memory
opt -full
rename potvit_mem_1r1w gold
miter -equiv -flatten gold gate both
chformal -lower
sat -verify -seq 5 -set-init-zero -set-assumes -prove trigger 0 both
tee -o stat.json stat -json
"""


def folder(path, **texts):
    path.mkdir(exist_ok=True)
    for name, text in texts.items():
        (path / f"{name}.lib").write_text(text)
    return path


def test_corners_and_memories_are_told_apart(tmp_path):
    cells = read_cells(folder(tmp_path / "lib", a_typ_1=liberty_text(), a_slow_1=liberty_text(),
                              ram_typ_1=MACRO))  # fmt: skip
    assert {c: f.name for c, f in cells.files.items()} == {
        "typ": "a_typ_1.lib", "slow": "a_slow_1.lib"
    }  # fmt: skip
    assert (cells.active, cells.nand2) == (None, 1.0)
    reset = liberty_text().replace(PLAIN, RESET)
    assert reset != liberty_text()
    assert read_cells(folder(tmp_path / "reset", b_typ_1=reset)).active == 0
    assert read_cells(tmp_path / "reset" / "b_typ_1.lib").files.keys() == {"typ"}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"a_typ_1": liberty_text().replace(PLAIN, "")}, "has no rising-edge D flip-flop"),
        ({"a_typ_1": MACRO}, "has memories only, no cells"),
        ({"a_slow_1": liberty_text()}, "has no Liberty file with _typ_ in its name"),
        ({"a_typ_1": "nothing"}, "no cell found"),
        ({"a_typ_1": liberty_text(), "b_typ_1": liberty_text()}, "2 libraries of corner typ"),
    ],
)
def test_a_library_that_will_not_do_is_one_line(tmp_path, texts, message):
    with pytest.raises(PotvitError, match=message):
        read_cells(folder(tmp_path / "lib", **texts))


def test_memories_are_tiled_or_flip_flops(tmp_path):
    files, macros = read_macros(folder(tmp_path / "ram", ram_typ_1=MACRO, cells_typ_1="cell"))
    assert [file.name for file in files["typ"]] == ["ram_typ_1.lib"]
    assert [(m.name, m.width, m.depth, m.area) for m in macros] == [("RAM4x2", 2, 4, 50.0)]
    tiling = tile(Memory(width=5, depth=11), macros, 100.0)
    assert (tiling.columns, tiling.rows, tiling.area) == (3, 3, 450.0)
    assert tile(Memory(width=1, depth=2), macros, 5.0).macro is None
    with pytest.raises(PotvitError, match="no macro can make a memory 5 bits wide"):
        tile(Memory(width=5, depth=11), [], 100.0)
    single = re.sub(r"\bB_", "C_", MACRO)
    assert read_macros(folder(tmp_path / "one", ram_typ_1=single))[1] == []


@pytest.mark.parametrize(("width", "depth"), [(2, 4), (3, 4), (2, 3), (3, 11), (1, 2)])
@pytest.mark.parametrize("flip_flop", [1000.0, 0.001])
def test_a_tiled_memory_is_the_memory(tmp_path, width, depth, flip_flop):
    check_memory(tmp_path, width, depth, flip_flop)


def check_memory(tmp_path, width, depth, flip_flop, change=lambda text: text):
    macros: list[Macro] = read_macros(folder(tmp_path / "ram", ram_typ_1=MACRO))[1]
    tiling = tile(Memory(width=width, depth=depth), macros, flip_flop)
    assert (tiling.macro is None) == (flip_flop < 1)
    memory = re.sub(r"`.*", "", memory_verilog()).replace("endmodule", IN_RANGE)
    files = {"tiled.v": change(memory_module(tiling)), "macro.v": BEHAVIOUR, "memory.v": memory}
    script = EQUAL.format(tiled=module_name(tiling.memory), width=width, depth=depth)
    run_script(script, files, "a memory")


def test_a_wrong_tiling_is_noticed(tmp_path):
    with pytest.raises(PotvitError):
        check_memory(tmp_path, 3, 9, 1000.0, lambda text: text.replace("row <= rd", "row <= wr"))


REPORT = """
Startpoint: core/array/_12_ (rising edge-triggered flip-flop clocked by clock)
Endpoint: core/drain/_9_ (rising edge-triggered flip-flop clocked by clock)
   0.2000    0.2000 v core/array/_12_/Q (DFF)
   1.1000    1.3000 ^ core/drain/_8_/Y (INV)
             3.7500   slack (MET)
"""


def test_a_path_is_read_and_what_is_none_is_said():
    found = read_path(REPORT, "it")
    assert (found.critical_ns, found.start, found.end, found.levels) == (
        6.25, "core/array/_12_", "core/drain/_9_", 2
    )  # fmt: skip
    assert found.fmax_mhz == 160
    assert read_path("No paths found.\n", "it") is None
    with pytest.raises(PotvitError, match="OpenSTA failed on it: the cause"):
        read_path("Error: the cause\nError: no network has been linked.\n", "it")
    with pytest.raises(PotvitError, match="OpenSTA gave no path of it"):
        read_path("strange", "it")


@pytest.fixture
def pdk(real_data):
    if not (real_data / "pdk").is_dir():
        pytest.skip("POTVIT_DATA has no folder pdk with a cell library")
    return real_data / "pdk"


@pytest.mark.slow
@pytest.mark.needs("silicon timing")
def test_a_unit_in_real_cells(pdk, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["--config", "tiny", "--target", "asic", "--unit", "row_sum"]
    assert (
        main("synth", COMMANDS, ["run", *words, "--liberty", str(pdk), "--macros", str(pdk)]) == 0
    )
    report = json.loads((tmp_path / "build/synth/tiny-asic-row_sum.json").read_text())
    (unit,) = report["units"]
    times = unit["critical_ns"]
    assert 0.5 < times["fast"] < times["typ"] < times["slow"] < 20
    assert 80 * 40 < unit["area"] < 80 * 300
    assert report["mm2_logic"] == pytest.approx(unit["area"] / 1e6, abs=1e-6)
    assert set(report["liberty"]) == {"typ", "slow", "fast"}


def test_without_the_engine_one_line_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    words = ["run", "--config", "tiny", "--target", "asic", "--liberty", "any.lib"]
    assert main("synth", COMMANDS, words) == 2
    assert capsys.readouterr().err == (
        "error: target asic needs OpenSTA (`sta`), Debian's package opensta\n"
    )
