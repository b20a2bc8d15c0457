import json

import pytest

from golden.support.errors import PotvitError
from synth.generic import Area, Library
from synth.hierarchy import Memory
from synth.report import area_markdown, area_report, part_rows, unit_rows, write_report
from synth.units import Part

GENERIC = Library(text="", area_unit="NAND2", nand2=1.0, generic=True)


def part(name, instances, memories=()):
    return Part(
        name=name, top="x", modules=(), boxes=(), inverted=False, inverted_boxes=frozenset(),
        instances=instances, memories=memories, digest="",
    )  # fmt: skip


PARTS = [
    part("pe", 6),
    part("pe", 2),
    part("shifter_array", 1),
    part("fetch", 1, (Memory(width=8, depth=100), Memory(width=8, depth=100))),
]
AREAS = [
    Area(area=10.0, sequential=1.0, cells={"INV": 3}),
    Area(area=5.0, sequential=0.5, cells={"INV": 1, "DFF": 2}),
    Area(area=20.0, sequential=4.0, cells={}),
    Area(area=10.0, sequential=10.0, cells={}),
]


def test_units_sum_over_instances_and_variants():
    pe, shifters, fetch = unit_rows(PARTS, AREAS)
    assert (pe["instances"], pe["area"], pe["sequential"]) == (8, 70.0, 7.0)
    assert pe["share"] == 0.7
    assert pe["cells"] == {"DFF": 4, "INV": 20}
    assert [v["area"] for v in pe["variants"]] == [10.0, 5.0]
    assert (shifters["share"], fetch["share"]) == (0.2, 0.1)


def test_parts_of_the_design_sum_over_units():
    rows = {row["name"]: row for row in part_rows(unit_rows(PARTS, AREAS))}
    assert rows["array"] == {"name": "array", "area": 70.0, "share": 0.7}
    assert rows["shifter array"]["area"] == 20.0


def test_totals_per_mac_and_memory():
    report = area_report(PARTS, AREAS, GENERIC, macs=8)
    assert report["totals"] == {"area": 100.0, "sequential": 21.0, "instances": 10}
    assert report["kge_per_mac"] == 0.0125
    assert report["sram_bits"] == 1600
    assert report["memories"] == [
        {"unit": "fetch", "width": 8, "depth": 100, "count": 2, "bits": 1600}
    ]
    assert report["special_share"] == 0.2
    assert report["fmax_mhz"] is None


def test_gates_of_a_users_library_count_its_own_nand():
    lib = Library(text="", area_unit="um2", nand2=2.5, generic=False)
    assert area_report(PARTS, AREAS, lib, macs=8)["kge_per_mac"] == 0.005
    none = Library(text="", area_unit="um2", nand2=None, generic=False)
    assert area_report(PARTS, AREAS, none, macs=8)["kge_per_mac"] is None


def test_markdown_says_what_the_report_says(tmp_path):
    report = area_report(PARTS, AREAS, GENERIC, macs=8)
    report |= {"config": "some", "unit": None, "tools": {"yosys": "1"}}
    text = area_markdown(report)
    assert "| `pe` | array | 8 | 10 / 5 | 70 | 70.0 % | 10 % |" in text
    assert "1,600 bits" in text
    paths = write_report(tmp_path, "some-generic", report, text)
    assert [path.name for path in paths] == ["some-generic.json", "some-generic.md"]
    assert json.loads(paths[0].read_text())["totals"]["area"] == 100.0
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in paths}


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(PotvitError, match="cannot be written"):
        write_report(blocked, "x", {}, "")
