import json

from tools import record_results


def run_report(**changes):
    report = dict.fromkeys(record_results.RUN_FIELDS, 1)
    layers = [{"cycles": 100, "predicted": 99}, {"cycles": 50, "predicted": 51}]
    return report | {"bit_exact": True, "stall_mode": "none", "layers": layers, **changes}


def put(folder, name, value):
    path = folder / "build" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))


def test_what_is_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    put(tmp_path, "sim/a.json", run_report(cycles=7))
    put(tmp_path, "sim/b.json", run_report(stall_mode="random"))
    put(tmp_path, "sim/c.json", run_report(bit_exact=False))
    units = [{"name": "pe", "area": 5.0}]
    area = dict.fromkeys(record_results.SYNTH_FIELDS["generic"], 3)
    area |= {"config": "tiny", "units": units, "area_unit": "NAND2", "unit": None}
    area["eight_bit_only"] = {"kge_per_mac": 1, "cost": 0.1, "units": {"pe": 4.0}, "area": 9}
    scored = dict.fromkeys(record_results.EVAL_FIELDS, 6) | {"images": 400, "weights": "data"}
    put(tmp_path, "eval/full.json", scored | {"data": "/home/me"})
    put(tmp_path, "eval/few.json", scored | {"images": 20})
    put(tmp_path, "eval/float.json", scored | {"int_top1": None})
    put(tmp_path, "eval/random.json", scored | {"weights": "random seed 0"})
    put(tmp_path, "synth/tiny-generic.json", area)
    put(tmp_path, "synth/tiny-generic-pe.json", area)
    put(tmp_path, "synth/odd-generic.json", area | {"config": "tiny-rows3"})
    put(tmp_path, "synth/base-generic.json", area | {"config": "base", "area_unit": "um2"})
    xcup = dict.fromkeys(record_results.SYNTH_FIELDS["xcup"], 4)
    put(tmp_path, "synth/edge-xcup.json", xcup | {"config": "edge", "unit": None, "units": []})
    placed = dict.fromkeys(record_results.SYNTH_FIELDS["ecp5"], 5)
    put(tmp_path, "synth/tiny-ecp5.json", placed | {"config": "tiny", "unit": None})
    points = [
        {"name": "p", "cycles": 9, "pareto": True, "area_ge": 4},
        {"name": "q", "cycles": 9, "pareto": False, "area_ge": 5},
        {"name": "r", "refused": "no"},
    ]
    put(tmp_path, "explore/m.json", {"bits": "w8a8", "preset": "tiny", "reference": "q",
                                      "points": points})  # fmt: skip
    assert record_results.main() == 0
    data = {p.stem: json.loads(p.read_text()) for p in (tmp_path / "docs/data").iterdir()}
    assert data["accuracy"]["runs"] == {"full": scored}
    assert list(data["performance"]["runs"]) == ["a"]
    assert data["performance"]["runs"]["a"]["cycles"] == 7
    assert abs(data["performance"]["runs"]["a"]["worst_layer_error"] - 0.02) < 1e-9
    assert data["area_units"]["units"] == {"tiny": {"pe": 5.0}}
    synthesis = data["synthesis"]
    assert list(synthesis["generic"]) == ["tiny"]
    assert synthesis["generic"]["tiny"]["eight_bit_only"] == {"kge_per_mac": 1, "cost": 0.1}
    assert "units" not in synthesis["generic"]["tiny"]
    assert synthesis["xcup"]["edge"] == xcup | {"config": "edge"}
    assert synthesis["ecp5"]["tiny"]["fmax_mhz"] == 5
    found = data["exploration"]["models"]["m"]
    assert (found["points"], found["legal"]) == (3, 2)
    assert [p["name"] for p in found["front"]] == ["p"]
    assert [p["name"] for p in found["reference"]] == ["q"]
    # Another run's record stays when build/ no longer has it.
    put(tmp_path, "sim/a.json", run_report(bit_exact=False))
    put(tmp_path, "sim/d.json", run_report())
    assert record_results.main() == 0
    runs = json.loads((tmp_path / "docs/data/performance.json").read_text())["runs"]
    assert list(runs) == ["a", "d"]


def test_a_broken_report_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for content, reason in (("{", "is no JSON file"), ({"cycles": 1}, "has no 'array_cycles'")):
        put(tmp_path, "sim/a.json", content)
        assert record_results.main() == 2
        error = capsys.readouterr().err
        assert reason in error
        assert error.count("\n") == 1
    assert not (tmp_path / "docs").exists()


def refused(capsys):
    assert record_results.main() == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    return error


def test_nothing_to_record_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "build has nothing to record: run `make eval`" in refused(capsys)
    assert not (tmp_path / "docs").exists()


def test_an_older_report_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    put(tmp_path, "sim/a.json", run_report())
    put(tmp_path, "synth/tiny-xcup.json", {"config": "tiny", "totals": {}})
    assert "tiny-xcup.json has no 'macs'" in refused(capsys)
    put(tmp_path, "synth/tiny-xcup.json", "[1]")
    assert "tiny-xcup.json holds no JSON object" in refused(capsys)
    assert not (tmp_path / "docs").exists()


def test_a_broken_record_is_one_line_and_stays(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    put(tmp_path, "sim/a.json", run_report())
    data = tmp_path / "docs/data/performance.json"
    data.parent.mkdir(parents=True)
    data.write_text("{")
    assert "performance.json is no JSON file" in refused(capsys)
    assert data.read_text() == "{"


def test_records_of_what_was_not_run_are_not_touched(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(tmp_path, "sim/a.json", run_report())
    data = tmp_path / "docs/data"
    data.mkdir(parents=True)
    older = data / "bench.json"
    older.write_text('{"runs": {}, "by": "hand"}')
    assert record_results.main() == 0
    assert older.read_text() == '{"runs": {}, "by": "hand"}'
    assert {path.name for path in data.iterdir()} == {"bench.json", "performance.json"}
