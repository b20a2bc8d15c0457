import re

import pytest

from golden.support.errors import PotvitError
from synth.cells import LIBRARY, check_liberty, liberty_text

AREAS = {
    "INV": 0.67, "NAND2": 1, "NOR2": 1, "AND2": 1.33, "OR2": 1.33, "AOI21": 1.33, "OAI21": 1.33,
    "XOR2": 2, "XNOR2": 2, "MUX2": 2.33, "HA": 3.33, "FA": 5.33, "DFF": 5.67,
}  # fmt: skip


def test_library_has_the_areas_of_the_table():
    assert {cell.name: cell.area for cell in LIBRARY} == AREAS
    found = re.findall(r"cell\((\w+)\) \{ area : ([\d.]+);", liberty_text())
    assert {name: float(area) for name, area in found} == AREAS


def evaluate(function, pins):
    names = {pin: bool(value) for pin, value in pins.items()}
    text = function.replace("!", " not ").replace("&", " and ").replace("|", " or ")
    return bool(eval(text.replace("^", "!="), {}, names))


def test_functions_are_those_of_the_names():
    cells = {cell.name: cell for cell in LIBRARY}
    bits = [(a, b, c) for a in (0, 1) for b in (0, 1) for c in (0, 1)]
    for a, b, c in bits:
        pins = {"A": a, "B": b, "C": c, "S": c, "CI": c}
        wanted = {
            "INV": not a, "NAND2": not (a and b), "NOR2": not (a or b), "AND2": a and b,
            "OR2": a or b, "AOI21": not ((a and b) or c), "OAI21": not ((a or b) and c),
            "XOR2": a != b, "XNOR2": a == b, "MUX2": b if c else a,
        }  # fmt: skip
        for name, value in wanted.items():
            assert evaluate(cells[name].outputs["Y"], pins) == bool(value), name
        assert evaluate(cells["HA"].outputs["CO"], pins) == (a + b == 2)
        assert evaluate(cells["HA"].outputs["S"], pins) == (a + b == 1)
        assert evaluate(cells["FA"].outputs["CO"], pins) == (a + b + c >= 2)
        parity = bool(a) != bool(b)
        assert (parity != bool(c)) == ((a + b + c) % 2 == 1)
    assert cells["FA"].outputs["S"] == "A^B^CI"


@pytest.mark.parametrize(
    ("drop", "lacks"),
    [
        ("INV", "an inverter"),
        ("DFF", "a rising-edge D flip-flop without set or reset"),
        ("NAND2 NOR2 AND2 OR2", "a two-input NAND, NOR, AND or OR"),
    ],
)
def test_a_liberty_file_without_a_needed_cell_is_refused(tmp_path, drop, lacks):
    text = liberty_text()
    for name in drop.split():
        text = re.sub(rf"  cell\({name}\) \{{.*?\n  \}}\n", "", text, flags=re.DOTALL)
    path = tmp_path / "some.lib"
    path.write_text(text)
    with pytest.raises(PotvitError, match=f"some.lib lacks {lacks} "):
        check_liberty(path)


def test_a_complete_liberty_file_is_taken(tmp_path):
    path = tmp_path / "full.lib"
    path.write_text(liberty_text())
    assert check_liberty(path) == liberty_text()


def test_other_spellings_of_functions_are_understood(tmp_path):
    path = tmp_path / "other.lib"
    path.write_text("""
library (x) {
  cell ("INVX1") { area : 0.5; pin(Y) { direction : output; function : "A'"; } }
  cell ("ND2") { area : 0.8; pin(Y) { direction : output; function : "(A B)'"; } }
  cell ("ND2B") { area : 0.8; pin(Y) { direction : output; function : "(A * B)'"; } }
  cell ("DFFX1") { area : 4.5;
    ff (IQ, IQN) { clocked_on : "(CK)"; next_state : "D"; }
    pin(Q) { direction : output; function : "IQ"; } }
}
""")
    assert "DFFX1" in check_liberty(path)


@pytest.mark.parametrize("text", ["", "module top; endmodule"])
def test_what_is_no_liberty_file_is_refused(tmp_path, text):
    path = tmp_path / "no.lib"
    path.write_text(text)
    with pytest.raises(PotvitError, match="no cell found"):
        check_liberty(path)
    with pytest.raises(PotvitError, match="No such file"):
        check_liberty(tmp_path / "missing.lib")


def test_what_cannot_be_read_as_text_is_refused(tmp_path):
    (tmp_path / "binary.lib").write_bytes(bytes(range(256)) * 8)
    with pytest.raises(PotvitError, match=r"binary.lib: no cell found; is it a .lib text file"):
        check_liberty(tmp_path / "binary.lib")
    with pytest.raises(PotvitError, match="Is a directory"):
        check_liberty(tmp_path)


def test_cells_without_an_area_do_not_count(tmp_path):
    path = tmp_path / "free.lib"
    path.write_text(re.sub(r"cell\(INV\) \{ area : [\d.]+;", "cell(INV) {", liberty_text()))
    with pytest.raises(PotvitError, match="lacks an inverter"):
        check_liberty(path)
