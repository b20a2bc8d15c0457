import json
import sys

import pytest

from golden.support.errors import PotvitError
from tools import readme_tables

KINDS = ("LUT", "LUTRAM", "FF", "DSP", "BRAM36", "URAM")
TOTALS = {kind: number for number, kind in enumerate(KINDS)}


def generic(macs, kge):
    comparison = {"what": "softmax", "ours": 10.0, "ours_is": "codes", "ordinary": 15.0,
                  "ordinary_is": "divider", "ratio": 1.5}  # fmt: skip
    return {"macs": macs, "totals": {"area": 123456.0}, "kge_per_mac": kge, "special_share": 0.4,
            "eight_bit_only": {"kge_per_mac": 1.0, "cost": 0.025}, "sram_bits": 8192 * 1024,
            "parts": [{"name": "array", "area": 100_000.0, "share": 0.81}],
            "ablations": [comparison]}  # fmt: skip


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A repository with records of syntheses and an empty README."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["readme_tables"])
    placed = {"LUT": 40000, "FF": 12000, "DSP": 86, "BRAM": 44}
    data = {
        "generic": {"base": generic(1024, 1.1), "tiny": generic(32, 3.9)},
        "xcup": {"tiny": {"macs": 32, "totals": TOTALS}},
        "ecp5": {"tiny": {"macs": 32, "part": "LFE5", "fmax_mhz": 81.26,
                          "totals": {k: {"used": n} for k, n in placed.items()}}},
    }  # fmt: skip
    path = tmp_path / "docs/data/synthesis.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(data))
    return tmp_path


def block(name):
    return f"before\n<!-- table: {name} -->\nold\n<!-- end -->\nafter\n"


def test_synthesis_tables_show_what_is_recorded(root):
    area = readme_tables.rewritten(block("area"))
    assert "| `tiny` | 32 | 123 | 3.900 | 1.000 (+2.5 %) | 40.0 % | 1,024.0 |" in area
    assert area.index("`tiny`") < area.index("`base`")
    assert "old" not in area
    parts = readme_tables.rewritten(block("area-parts"))
    assert "| array | 100.0 (81.0 %) | 100.0 (81.0 %) |" in parts
    comparison = "| `base` | softmax | 10 (codes) | 15 (divider) | 1.50 |"
    assert comparison in readme_tables.rewritten(block("ablations"))
    fpga = readme_tables.rewritten(block("fpga"))
    assert "| `tiny` | UltraScale+ (not placed) | 0 | 1 | 2 | 3 | 4 | 5 | - |" in fpga
    used = "40,000 | - | 12,000 | 86 | 44 of 18 kbit | -"
    assert f"| `tiny` | LFE5, placed and routed | {used} | 81.3 |" in fpga


def test_a_readme_is_rewritten_or_checked(root, monkeypatch, capsys):
    readme = root / "README.md"
    readme.write_text(block("area"))
    monkeypatch.setattr(sys, "argv", ["readme_tables", "--check"])
    assert readme_tables.main() == 1
    assert "run `make readme`" in capsys.readouterr().err
    assert readme.read_text() == block("area")
    monkeypatch.setattr(sys, "argv", ["readme_tables"])
    assert readme_tables.main() == 0
    assert "3.900" in readme.read_text()
    assert {path.name for path in root.iterdir()} == {"README.md", "docs"}
    monkeypatch.setattr(sys, "argv", ["readme_tables", "--check"])
    assert readme_tables.main() == 0


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (None, "area", "docs/data/synthesis.json is missing: `make record` makes it"),
        ("{", "fpga", "docs/data/synthesis.json is no JSON file"),
        ('{"xcup": {"tiny": {"macs": 1}}}', "fpga", "has no 'totals': run `make record`"),
        ("{}", "areas", "wants a table 'areas'; there are requirements, targets, "),
    ],
)
def test_a_bad_source_is_one_line(root, capsys, content, name, message):
    data = root / "docs/data/synthesis.json"
    data.unlink()
    if content is not None:
        data.write_text(content)
    (root / "README.md").write_text(block(name))
    assert readme_tables.main() == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
    assert (root / "README.md").read_text() == block(name)


def test_an_unknown_table_names_itself():
    with pytest.raises(PotvitError, match="'nonsense'"):
        readme_tables.rewritten(block("nonsense"))
