"""Exploration: sweep, refusals, area model, Pareto front, a point confirmed in RTL."""

import json

import pytest

from golden.support.command_line import main
from golden.support.errors import PotvitError
from golden.synthetic.graphs import random_graph
from hw.compiler import compile_graph
from hw.config import PRESETS, preset
from hw.formats.memories import memory_bytes
from sim.__main__ import COMMANDS
from sim.explore import area_model as areas
from sim.explore.confirm import cheapest, confirm
from sim.explore.evaluate import evaluate, mark_pareto
from sim.explore.presentation import pareto_plot, sections
from sim.explore.space import Point, configuration, reason, sweep
from sim.report.document import markdown
from sim.system.bundles import network

TINY = preset("tiny")
HERE = Point(rows=2, cols=4, lanes=4, axi_bytes=8, buffers=1.0)
POINTS = [
    HERE,
    Point(rows=4, cols=4, lanes=4, axi_bytes=8, buffers=1.0),
    Point(rows=4, cols=8, lanes=4, axi_bytes=16, buffers=1.0),
    Point(rows=2, cols=16, lanes=4, axi_bytes=8, buffers=1.0),  # no configuration
    Point(rows=2, cols=4, lanes=4, axi_bytes=8, buffers=0.02),  # too small
]


def measured(share=1.0):
    """Areas that follow the features exactly, with a constant where one is plausible."""
    found = {}
    for name in ("tiny", "base"):
        config = PRESETS[name]
        found[name] = {u: 50 + 3 * share * f(config) for u, f in areas.FEATURES.items()}
        found[name]["sequencer"] = 6000.0
    return found


@pytest.fixture(scope="module")
def rows():
    graph = random_graph(seed=2, patch=8)
    return evaluate(graph, TINY, POINTS, areas.fit(measured(), "test"), jobs=1)


def test_sweep_reaches_the_edges():
    points = sweep(preset("base"))
    assert len(points) == len({p.name for p in points}) == 243
    assert {p.rows for p in points} == {4, 8, 16}
    assert {p.axi_bytes for p in points} == {16, 32, 64}
    legal, refused = 0, set()
    for point in points:
        try:
            config = configuration(preset("base"), point)
        except PotvitError as error:
            refused.add(reason(error, point))
            continue
        legal += 1
        assert config.macs == point.rows * point.cols * point.lanes
        size = memory_bytes(preset("base"))["act"] * point.buffers
        assert size * 0.98 <= memory_bytes(config)["act"] <= size
    assert legal > 100
    assert refused == {"cols must be lanes or 2*lanes"}


def test_the_preset_itself_is_reached():
    same = configuration(TINY, HERE)
    assert same.change(name="tiny") == TINY
    base = Point(rows=8, cols=16, lanes=8, axi_bytes=32, buffers=1.0)
    assert configuration(preset("base"), base).change(name="base") == preset("base")


def test_figures_and_refusals(rows):
    assert [row["name"] for row in rows] == [p.name for p in POINTS]
    assert [("refused" in row) for row in rows] == [False, False, False, True, True]
    assert rows[3]["refused"] == "cols must be lanes or 2*lanes"
    assert "buffer ACT lacks" in rows[4]["refused"]
    graph = random_graph(seed=2, patch=8)
    assert rows[0]["cycles"] == compile_graph(graph, TINY).cycles
    assert rows[0]["macs_per_cycle"] == 32
    assert rows[2]["cycles"] < rows[1]["cycles"] < rows[0]["cycles"]
    assert rows[2]["logic_ge"] > rows[1]["logic_ge"] > rows[0]["logic_ge"]
    bits = 8 * sum(memory_bytes(TINY).values())
    assert rows[0]["sram_bits"] == bits
    assert rows[0]["area_ge"] - rows[0]["logic_ge"] == pytest.approx(bits / 2, abs=1)


def test_pareto():
    rows = [
        {"area_ge": 5, "cycles": 100}, {"area_ge": 6, "cycles": 120}, {"area_ge": 7, "cycles": 50},
        {"area_ge": 7, "cycles": 60}, {"area_ge": 9, "cycles": 50}, {"refused": "x"},
    ]  # fmt: skip
    mark_pareto(rows)
    assert [row.get("pareto") for row in rows] == [True, False, True, False, False, None]
    front = [row | {"macs_per_cycle": 10} for row in rows if row.get("pareto")]
    assert cheapest(front, 1)[0]["cycles"] == 50
    assert cheapest(front, 0) == []
    near = [*front, {"area_ge": 20, "cycles": 49, "macs_per_cycle": 10, "pareto": True}]
    assert [row["cycles"] for row in cheapest(near, 3)] == [50, 100], "49 is not worth 20"


def test_area_fit_returns_what_it_was_given():
    model = areas.fit(measured(), "test")
    for check in model.check:
        assert check["error"] == pytest.approx(0, abs=1e-6)
    assert model.units["sequencer"] == (6000.0, 0.0)
    assert model.units["requantizer"] == (pytest.approx(50), pytest.approx(3))
    alone = areas.fit({"base": measured()["base"]}, "one")
    assert alone.check[0]["error"] == pytest.approx(0, abs=1e-9)
    doubled = PRESETS["base"].change(rows=16)
    assert alone.gates(doubled) > 1.2 * alone.gates(PRESETS["base"])


def test_area_from_reports_or_from_tracked_data(tmp_path):
    units = [{"name": u, "area": a} for u, a in measured()["base"].items()]
    path = tmp_path / "base-generic.json"
    path.write_text(json.dumps({"units": units, "area_unit": "NAND2", "unit": None}))
    assert areas.area_model(tmp_path).origin.endswith(": base")
    path.write_text(json.dumps({"units": units, "area_unit": "um2", "unit": None}))
    tracked = areas.area_model(tmp_path)
    assert "docs/data/area_units.json" in tracked.origin
    assert len(tracked.check) >= 1
    assert all(abs(check["error"]) < 0.05 for check in tracked.check)
    path.write_text("nonsense")
    with pytest.raises(PotvitError, match="TARGET=generic"):
        areas.area_model(tmp_path)


def test_report_of_an_exploration(rows):
    shown = [dict(row) for row in rows]
    front = next(row for row in shown if row.get("pareto"))
    front["confirmed"] = {"bit_exact": True, "failure": "", "cycles": 1000, "predicted": 1001}
    report = {"model": "m", "bits": "w8a8", "attn": "log2", "preset": "tiny",
              "reference": HERE.name, "points": shown,
              "area_model": {"origin": "test", "check": []}}  # fmt: skip
    text = markdown("t", sections(report, pareto_plot(report)), "m")
    assert "3 of 5 combinations" in text
    assert "bit-exact, 1,000 cycles (model +0.10 %)" in text
    assert "| cols must be lanes or 2*lanes | 1 | 2x16x4-bus64-buf1 |" in text
    assert HERE.name in text


def test_a_point_confirmed_in_rtl(monkeypatch):
    # The point is `tiny` by another name: under its own the model is there already.
    assert configuration(TINY, HERE).change(name=TINY.name) == TINY
    monkeypatch.setattr("sim.explore.confirm.configuration", lambda preset, point: TINY)
    net = network("vit_digits", "w8a8", "log2")
    row = evaluate(net.graph, TINY, [HERE], areas.fit(measured(), "test"), jobs=1)[0]
    pixels = (net.data.evaluation or net.data.calibration)[0].pixels(net.model.spec.preprocess)
    found = confirm(net, TINY, row, pixels)
    assert found["bit_exact"], found["failure"]
    assert found["tensors_checked"] == found["tensors_expected"] == 36
    assert abs(found["cycles"] - found["predicted"]) <= 0.02 * found["cycles"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--confirm", "-1"), "--confirm must be at least 0"),
        (("--jobs", "0"), "--jobs at least 1"),
        (("--config", "huge"), "unknown configuration 'huge'"),
        (("--model", "vit_gigantic"), "vit_gigantic"),
    ],
)
def test_bad_input_is_one_line(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main("sim", COMMANDS, ["explore", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "build" / "explore").exists()
