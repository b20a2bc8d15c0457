import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from golden.support.errors import PotvitError
from hw.config import PRESETS, preset
from hw.formats.memories import memory_bytes
from hw.formats.statistics import stat_layout
from hw.host.register_map import registers
from hw.lib.memory import MODULE
from hw.top.verilog import generate, write
from sim.simulator.toolchain import verilator

ROOT = Path(__file__).resolve().parents[3]
WAIVERS = ROOT / "hw" / "top" / "verilator_waivers.vlt"
PRESET_POINTS = [
    "tiny",
    pytest.param("edge", marks=pytest.mark.slow),
    pytest.param("base", marks=pytest.mark.slow),
]
ODD_POINTS = [
    {"rows": 3, "cols": 8, "queue_depth": 1, "fetch_depth": 1},
    {"axi_bytes": 64, "const_rows": 256, "stream_words": 1001, "precision": "w8a8"},
    {"lanes": 2, "cols": 2, "head_lanes": 4, "axi_bytes": 4, "burst_beats": 7, "max_keys": 33},
]
#: Another design that several tests look at.
OTHER = preset("tiny").change(name="3-rows", rows=3, axi_prot=5, axi_cache=15)


def command(*words, **options):
    environment = dict(os.environ) | options.pop("env", {})
    return subprocess.run(
        [sys.executable, "-m", "hw", *words],
        capture_output=True,
        text=True,
        env=environment,
        **options,
    )


def lint(text, folder, top="potvit_tiny"):
    source = folder / "potvit.v"
    source.write_text(text)
    tool = verilator()
    return subprocess.run(
        [*tool.command, "--lint-only", "-Wall", "--top-module", top, str(WAIVERS), str(source)],
        capture_output=True,
        text=True,
        env=tool.env,
    )


@pytest.mark.parametrize("name", PRESET_POINTS)
def test_presets_are_lint_clean(name, tmp_path):
    done = lint(generate(preset(name)).verilog, tmp_path, f"potvit_{name}")
    assert done.returncode == 0, (done.stdout + done.stderr)[:2000]


@pytest.mark.slow
@pytest.mark.parametrize("changes", ODD_POINTS)
def test_odd_points_are_lint_clean(changes, tmp_path):
    done = lint(generate(preset("tiny").change(**changes)).verilog, tmp_path)
    assert done.returncode == 0, (done.stdout + done.stderr)[:2000]


def test_lint_finds_a_missing_driver(tmp_path):
    text = generate(preset("tiny")).verilog
    cut = re.sub(r"\n  assign irq = [^;]*;", "", text, count=1)
    assert cut != text
    assert lint(cut, tmp_path).returncode != 0


def test_same_bytes_from_another_process(tmp_path):
    done = command(
        "verilog", "--config", "tiny", "--out", str(tmp_path), env={"PYTHONHASHSEED": "7"}
    )
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "potvit.v").read_text()
    assert text == generate(preset("tiny")).verilog
    described = json.loads((tmp_path / "potvit.json").read_text())
    assert described["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["potvit.json", "potvit.v", "registers.md"]


def test_every_memory_is_the_named_module():
    text = generate(preset("tiny")).verilog
    generated, _, memory = text.partition("// The one memory of PoTViT")
    assert memory.count(f"module {MODULE}") == 1
    assert not re.search(r"^\s*reg\b.*\[[^\]]*\]\s*\\?[\w$.]+\s*\[", generated, re.MULTILINE)
    made = re.findall(rf"{MODULE} #\(\s*\.DEPTH\(32'd(\d+)\),\s*\.WIDTH\(32'd(\d+)\)", generated)
    assert len(made) == generated.count(f"{MODULE} #(")


def memory_bits(text):
    """Bits of the memories of a design by the path of what contains them, below the top."""
    bits = Counter()
    parts = re.split(r"^module \\?(\S+) ?\(", text, flags=re.MULTILINE)
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        for depth, width in re.findall(
            rf"{MODULE} #\(\s*\.DEPTH\(32'd(\d+)\),\s*\.WIDTH\(32'd(\d+)\)", body
        ):
            bits[name.partition(".")[2]] += int(depth) * int(width)
    return bits


@pytest.mark.parametrize("name", PRESET_POINTS)
def test_each_memory_is_as_large_as_the_configuration_says(name):
    config = preset(name)
    found = memory_bits(generate(config).verilog)

    def of(path):
        return sum(bits for where, bits in found.items() if where.startswith(path))

    places = {"act": "core.activation.", "stream": "core.stream.", "residual": "core.residual.",
              "value": "core.value.", "logit": "core.logit.bank", "out": "core.out.",
              "distance": "core.attn.distance_store.", "code": "core.attn.code_store.",
              "gelu": "core.array.drain.gelu."}  # fmt: skip
    sizes = {memory: 8 * size for memory, size in memory_bytes(config).items()}
    assert {memory: of(path) for memory, path in places.items()} == {
        memory: sizes[memory] for memory in places
    }
    assert set(sizes) == {*places, "norm", "const"}
    inside = {
        # Of 64 bits of a channel, 50 are kept: gamma, beta, two of alpha.
        "core.norm_parameters.": config.norm_words * config.lanes * (16 + 32 + 2),
        # The last word of the FIFO is a register.
        "core.constants.": sizes["const"] - 8 * config.const_bytes,
        "core.logit.maxima": config.slots * config.rows * 8,
        # One copy for whoever reads: the drain that adds to them, and LayerNorm.
        "core.statistics.": 2 * config.max_tokens * stat_layout(config).size,
    }
    assert {path: of(path) for path in inside} == inside
    queues = ("core.fetch.", "core.sequencer.", "counters.")
    named = (*places.values(), *inside, *queues)
    assert [where for where in found if not where.startswith(named)] == []


def test_two_configurations_in_one_design(tmp_path):
    """No module of one has the name of another's, and the memory may be there twice."""
    designs = [generate(preset("tiny")), generate(OTHER)]
    modules = [set(re.findall(r"^module (\S+) ?\(", d.verilog, re.MULTILINE)) for d in designs]
    assert all(len(found) > 50 for found in modules)
    assert not modules[0] & modules[1]
    names = [d.description["name"] for d in designs]
    assert names == ["potvit_tiny", "potvit_3_rows"]
    text = "\n".join(d.verilog for d in designs)
    pair = "\n".join(f"  {name} i{n} (.clk(clk));" for n, name in enumerate(names))
    done = lint(f"{text}\nmodule pair(input clk);\n{pair}\nendmodule\n", tmp_path, "pair")
    found = set(re.findall(r"%(?:Error|Warning)(?:-([A-Z]+))?: (?!Exiting)", done.stderr))
    assert found <= {"PINMISSING"}, done.stderr[:2000]


@pytest.mark.parametrize(
    ("config", "name", "prot", "cache"),
    [(preset("tiny"), "potvit_tiny", 0, 2), (OTHER, "potvit_3_rows", 5, 15)],
)
def test_kinds_of_access_are_constants(config, name, prot, cache):
    text = generate(config).verilog
    top = text[text.index(f"\nmodule {name}(") :]
    for channel in ("ar", "aw"):
        assert re.search(rf"assign m_axi_{channel}prot = 3'h{prot:x};", top)
        assert re.search(rf"assign m_axi_{channel}cache = 4'h{cache:x};", top)


@pytest.mark.parametrize("name", PRESET_POINTS)
def test_description(name):
    config = preset(name)
    described = generate(config).description
    ports = {p["name"]: (p["width"], p["direction"]) for p in described["ports"]}
    assert ports["clk"] == (1, "input")
    assert ports["irq"] == (1, "output")
    assert ports["m_axi_rdata"] == (8 * config.axi_bytes, "input")
    assert ports["m_axi_wstrb"] == (config.axi_bytes, "output")
    assert ports["s_axil_awaddr"] == (12, "input")
    top = rf"^module potvit_{name}\(([^)]*)\);"
    header = re.search(top, generate(config).verilog, re.MULTILINE)
    assert {p.strip() for p in header[1].split(",")} == set(ports)
    offsets = {r["name"]: r["offset"] for r in described["registers"]}
    assert offsets["CONTROL"] == 8
    assert described["counters"]["cycles"] == offsets["COUNT_CYCLES_LO"]
    assert described["config"]["rows"] == config.rows
    assert described["memories"] == memory_bytes(config)
    found = registers(config, list(described["counters"]))
    assert [r.name for r in found] == list(offsets)


def test_the_documented_registers_are_the_generated_ones():
    page = (ROOT / "docs" / "registers.md").read_text()
    made = generate(preset("tiny")).register_table
    assert page == made, "make verilog CONFIG=base && cp build/verilog/base/registers.md docs/"
    assert made.count("PARAM_") > 20


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("no")))
    with pytest.raises(OSError, match="no"):
        write(generate(preset("tiny")), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--config", "huge"], "unknown configuration 'huge'; one of tiny, edge, base"),
        (["--config", "tiny", "--set", "rows=0"], "rows must be at least 1, got 0"),
        (["--config", "tiny", "--set", "axi_prot=8"], "axi_prot must be 0..7, got 8"),
        (["--config", "tiny", "--set", "rows=x"], "--set rows=x: the value is a whole number"),
        (["--config", "tiny", "--set", "rows"], "write it as PARAMETER=VALUE"),
        (["--config", "tiny", "--set", "rose=4"], "no such parameter"),
        (["--config", "tiny", "--set", "precision=4"], "one of w8a8, w4a8, w4a4"),
        (["--config", "tiny", "--set", "exp_form=e"], "one of base2, iexp"),
    ],
)
def test_bad_input_gets_one_line(words, reason, tmp_path):
    done = command("verilog", *words, "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert reason in done.stderr
    assert not (tmp_path / "out").exists()


def test_out_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    done = command("verilog", "--config", "tiny", "--out", str(tmp_path / "file"))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_presets_are_documented():
    pages = "".join((ROOT / page).read_text() for page in ("README.md", "docs/results.md"))
    assert set(PRESETS) == {"tiny", "edge", "base"}
    for name in PRESETS:
        assert f"`{name}`" in pages, f"no page says what {name} does"
    with pytest.raises(PotvitError):
        preset("")
