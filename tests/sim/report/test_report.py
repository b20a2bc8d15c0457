"""The report page: what it says, what it says when inputs are missing, and its form."""

import json
import re

import pytest

from golden.support.command_line import main
from golden.support.errors import PotvitError
from sim.__main__ import COMMANDS
from sim.report.document import Figure, Section, Table, html, markdown
from sim.report.inputs import gather, published
from sim.report.sections import loss_table
from sim.report.summary import frame_rates, headline
from sim.report.theme import VARIABLES
from sim.report.time_figures import lost_by_cause, unit_time

UNITS = ("load", "array", "norm", "attn", "store")


def layer(name, cycles, **changes):
    causes = {"useful": cycles - 30.0, "rows": 20.0, "columns": 0.0, "lanes": 0.0, "pace": 0.0,
              "parameters": 6.0, "constants": 0.0, "waiting": 4.0}  # fmt: skip
    return {"name": name, "cycles": cycles, "predicted": cycles - 1, "array_busy": cycles - 10,
            "macs": 32 * (cycles - 30), "dram_read": 64, "dram_write": 8, "array": causes,
            **changes}  # fmt: skip


def sim_report(**changes):
    layers = [layer("patch_embed", 400), layer("blocks.0.attention", 300), layer("head", 300)]
    counters = {"cycles": 1000, "array_stall_no_instr": 12, "array_stall_params": 18}
    for unit in UNITS:
        counters |= {f"{unit}_busy": 500, f"{unit}_starved": 100}
    counters |= {"norm_wait_array": 300, "load_stall_bus": 40}
    line = {"layer": [0, 1, 2], "start": [0, 400, 700], "end": [400, 700, 1000]}
    return {
        "model": "vit_digits", "bits": "w8a8", "attn": "log2", "config": "tiny",
        "stall_mode": "none",
        "bit_exact": True, "failure": "", "tensors_checked": 3, "tensors_expected": 3,
        "elements_checked": 77, "cycles": 1000, "predicted_cycles": 997, "macs": 29120,
        "peak_macs_per_cycle": 32, "array_utilisation": 0.91, "weights": "bundled",
        "precision_weighted_utilisation": 0.91, "macs_8x8": 29120, "macs_8x4": 0,
        "array_cycles": {"useful": 910.0, "rows": 60.0, "columns": 0.0, "lanes": 0.0, "pace": 0,
                         "parameters": 18, "constants": 0, "waiting": {"load": 9, "norm": 0,
                         "attn": 0, "store": 0, "starved": 2, "issue": 1}, "unaccounted": 0.0},
        "layers": layers, "timeline": dict.fromkeys(UNITS, line), "counters": counters,
        "memory": {"act": {"used": 30, "words": 64, "word_bytes": 16}},
        "on_chip_bytes": {"act": {"read": 500, "write": 20}},
        "dram_bytes": {"read": 300, "write": 24}, "bus_bytes_per_cycle": 8, **changes,
    }  # fmt: skip


def area_report():
    units = [
        {"name": "pe", "part": "array", "instances": 8, "area": 900.0, "share": 0.9},
        {"name": "load", "part": "DMA", "instances": 1, "area": 100.0, "share": 0.1},
    ]
    return {"units": units, "area_unit": "NAND2", "totals": {"area": 1000.0}, "kge_per_mac": 1.02,
            "sram_bits": 8192, "tools": {"yosys": "1"}, "eight_bit_only": None, "ablations": None,
            "parts": [{"name": "array", "area": 900.0, "share": 0.9},
                      {"name": "DMA", "area": 100.0, "share": 0.1}]}  # fmt: skip


@pytest.fixture
def build(tmp_path, monkeypatch):
    """A working folder with a build/ that the test fills."""
    monkeypatch.chdir(tmp_path)

    def put(name, value):
        path = tmp_path / "build" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return path

    return put


def report(*words):
    return main("sim", COMMANDS, ["report", "--model", "vit_digits", "--config", "tiny", *words])


def written(tmp_path):
    folder = tmp_path / "build" / "report"
    return {p.name: p.read_text() for p in folder.iterdir()} if folder.exists() else {}


def test_page_from_everything(build, tmp_path, capsys):
    build("sim/vit_digits-w8a8-log2-tiny.json", sim_report())
    build("sim/vit_digits-w4a8-log2-tiny.json", sim_report(bits="w4a8", cycles=600))
    build("synth/tiny-generic.json", area_report())
    build("synth/tiny-xcup.json", {"config": "tiny", "totals": {"LUT": 20204.0, "DSP": 76},
                                    "fmax_mhz": None})  # fmt: skip
    build("synth/tiny-ecp5.json", {
        "fmax_mhz": 50.0, "part": "LFE5U-85F", "config": "tiny",
        "totals": {"LUT": {"used": 4000, "available": 8000, "share": 0.5}},
        "critical_path": [{"unit": "matmul_control", "ns": 20.0}],
    })  # fmt: skip
    build("eval/vit_digits-w8a8-log2.json", {"fp_top1": 99.55, "int_top1": 99.1, "images": 445,
                                              "agreement": 99.3})  # fmt: skip
    assert report("--mhz", "250") == 0
    assert "missing" not in capsys.readouterr().out
    files = written(tmp_path)
    page, text = (files[f"vit_digits-w8a8-log2-tiny.{kind}"] for kind in ("html", "md"))
    for content in (page, text):
        for title in ("Summary", "Cycles per layer", "Timeline", "Lost cycles", "Roofline",
                      "Memory use", "energy proxy", "Area", "published figures"):  # fmt: skip
            assert title in content
        assert "blocks.0.attention" in content
        assert "1.02" in content
        assert "50000.0" in content  # 50 MHz over 1000 cycles
        assert "250000.0" in content
        assert "HG-PIPE" in content
        assert "20,204" in content
        assert "50.0 MHz; critical path: matmul_control 20.0 ns" in content
        assert "600 cycles" in content
        assert "99.10 %" in content
    # Self-contained: nothing is fetched, and no two drawings share a name.
    assert not re.search(r"<script|<link|src=|@import|href=\"(?!#)", page)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', page))
    assert used <= set(ids)
    figures = re.findall(r"\]\(([\w.-]+\.svg)\)", text)
    assert len(figures) == page.count("<svg") == 8
    assert all(files[name].startswith("<svg") for name in figures)


def test_the_page_for_machines(build, tmp_path, capsys):
    build("sim/vit_digits-w8a8-log2-tiny.json", sim_report())
    assert report("--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["sim"] == sim_report()
    assert found["area"] is None
    assert "make synth CONFIG=tiny" in found["missing"]["area"]
    assert {name.rpartition("/")[2] for name in found["files"]} == set(written(tmp_path))


def test_same_inputs_same_bytes(build, tmp_path):
    build("sim/vit_digits-w8a8-log2-tiny.json", sim_report())
    report()
    first = written(tmp_path)
    report()
    assert written(tmp_path) == first


def test_missing_inputs_name_their_targets(build, tmp_path, capsys):
    build("sim/vit_digits-w8a8-log2-tiny.json", sim_report())
    assert report() == 0
    out = capsys.readouterr().out
    for target in ("make synth CONFIG=tiny TARGET=generic", "make synth CONFIG=tiny TARGET=ecp5",
                   "make eval MODEL=vit_digits BITS=w8a8 ATTN=log2"):  # fmt: skip
        lines = [line for line in out.splitlines() if target in line]
        assert len(lines) == 1
        assert "is missing" in lines[0]
        assert target in written(tmp_path)["vit_digits-w8a8-log2-tiny.html"]


def test_area_alone_is_a_report(build, tmp_path):
    build("synth/tiny-generic.json", area_report())
    assert report() == 0
    assert (
        "make sim MODEL=vit_digits CONFIG=tiny" in written(tmp_path)["vit_digits-w8a8-log2-tiny.md"]
    )


@pytest.mark.parametrize(
    ("content", "words", "message"),
    [
        (None, (), "error: nothing to report on vit_digits and tiny"),
        ("{", (), "is no JSON file: `make sim MODEL=vit_digits CONFIG=tiny"),
        ("[1]", (), "has no 'layers'"),
        ({"layers": []}, (), "of another version"),
        (sim_report(), ("--mhz", "0"), "--mhz must be a clock"),
        (sim_report(), ("--model", "vit_gigantic"), "unknown model 'vit_gigantic'"),
        (sim_report(), ("--config", "huge"), "unknown configuration 'huge'"),
    ],
)
def test_bad_input_is_one_line(build, tmp_path, capsys, content, words, message):
    if content is not None:
        build("sim/vit_digits-w8a8-log2-tiny.json", content)
    assert report(*words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not written(tmp_path)


def test_loss_table_adds_up():
    table = loss_table(sim_report())
    sizes = [float(row[1].replace(",", "")) for row in table.rows]
    assert sum(sizes[:-1]) == sizes[-1] == 1000
    lost = lost_by_cause(sim_report())
    assert sum(lost.values()) == 90
    assert list(lost) == ["rows", "parameters", "waiting (load)", "waiting (starved)",
                          "waiting (issue)"]  # fmt: skip


def test_unit_time_is_the_whole_run():
    times = unit_time(sim_report(), "norm")
    assert times == {"working": 600, "wait for array": 300, "starved": 100}
    assert unit_time(sim_report(), "load")["stalled in work"] == 40


def test_the_clock_of_another_configuration_is_used_by_name(build):
    build("sim/vit_digits-w8a8-log2-tiny.json", sim_report())
    build("synth/small-ecp5.json", {"fmax_mhz": 80.0, "part": "LFE5U-85F", "config": "small"})
    inputs = gather("vit_digits", "w8a8", "log2", "tiny")
    rows = frame_rates(inputs, inputs.sim, 300).rows
    assert rows[0][0] == "placed and routed, small on LFE5U-85F"
    assert rows[0][1:3] == ("80.0", "80000.0")
    assert "ecp5" in inputs.missing["placed"]


def test_published_figures_have_sources():
    facts = published("peers")
    assert len(facts["systems"]) >= 8
    for entry in facts["systems"] + facts["accuracy"]:
        assert entry["source"], entry["name"]
    shares = [s for s in facts["systems"] if s["utilisation"]]
    assert {s["utilisation_kind"] for s in shares} <= {"counter", "derived", "claimed"}
    assert published("energy")["source"]


def test_the_headline_is_measured(build, tmp_path):
    """Nothing before the last sections assumes a clock."""
    build("sim/vit_digits-w8a8-log2-tiny.json", sim_report())
    build("synth/tiny-generic.json", area_report())
    build("eval/vit_digits-w8a8-log2.json", {"fp_top1": 99.55, "int_top1": 99.1, "images": 445,
                                              "agreement": 99.3})  # fmt: skip
    assert headline(gather("vit_digits", "w8a8", "log2", "tiny")) == [
        ("equal in RTL, bit for bit", "3 of 3 tensors"),
        ("cycles per picture", "1,000"),
        ("array in use", "91.00 %"),
        ("top-1, integer / float, 445 pictures", "99.10 % / 99.55 %"),
        ("kGE per 8x8 MAC", "1.02"),
    ]
    build("sim/vit_digits-w8a8-log2-tiny.json", sim_report(bit_exact=False, tensors_checked=2))
    failed = headline(gather("vit_digits", "w8a8", "log2", "tiny"))[0]
    assert failed == ("equal in RTL, bit for bit", "NO, only 2 of 3 tensors")
    assert report() == 0
    for text in written(tmp_path).values():
        if "Speed" in text:
            measured, assumed = text.split(">Speed</h2>" if "</h2>" in text else "## Speed")
            assert "pictures/s" not in measured
            assert "MHz" not in measured
            assert "assumed: --mhz 300" in assumed


def test_the_page_has_both_palettes_and_print_rules(build, tmp_path):
    """Every colour of a drawing that means no data is a variable, in light and in dark."""
    build("sim/vit_digits-w8a8-log2-tiny.json", sim_report())
    build("synth/tiny-generic.json", area_report())
    report()
    files = written(tmp_path)
    page = files["vit_digits-w8a8-log2-tiny.html"]
    used = set(re.findall(r"var\((--\w+)", page))
    assert {"--ink", "--paper", "--grid", "--muted"} <= used
    light, dark = re.findall(r":root \{(.*?)\}", page, re.DOTALL)
    for palette in (light, dark):
        assert used <= set(re.findall(r"(--\w+):", palette))
    style, _, body = page.partition("</style>")
    assert "@media screen and (prefers-color-scheme: dark)" in style
    assert "@media print" in style
    plain = re.sub(r"var\([^)]*\)", "", body)
    assert not re.search("|".join(VARIABLES), plain)
    assert re.search("|".join(VARIABLES), files["vit_digits-w8a8-log2-tiny-layers.svg"])
    assert "var(" not in files["vit_digits-w8a8-log2-tiny-layers.svg"]


def test_text_is_escaped():
    table = Table(header=("x|y",), rows=[("<i>",)])
    figure = Figure(name="f", svg="<svg/>", alt='"q"')
    section = Section(title="a <b>", text=["1 < 2 & 3"], tables=[table], figures=[figure])
    page = html("t", [section])
    assert "<b>" not in page
    assert "<i>" not in page
    assert "1 &lt; 2 &amp; 3" in page
    assert "<svg/>" in page
    assert "| x/y |" in markdown("t", [section], "s")
    with pytest.raises(AssertionError):
        Table(header=("a", "b"), rows=[("only one",)])


def test_unwritable_report(build, tmp_path, capsys):
    build("sim/vit_digits-w8a8-log2-tiny.json", sim_report())
    (tmp_path / "build" / "report").write_text("in the way")
    assert report() == 2
    assert "cannot be written" in capsys.readouterr().err


def test_missing_published_data(monkeypatch, tmp_path):
    monkeypatch.setattr("sim.report.inputs.PUBLISHED", tmp_path)
    with pytest.raises(PotvitError, match=r"peers\.json is missing"):
        published("peers")
