"""Relatives of a wrong labels.csv: each right, or refused by its line."""

import pytest
from PIL import Image

from golden.catalogue.models import MODELS
from golden.data.datasets import open_dataset
from golden.support.errors import PotvitError

DEIT = MODELS["deit_tiny"]


@pytest.fixture
def table(tmp_path):
    """Writes a table beside three pictures and opens the data set."""

    def write(raw):
        for name in ("a.png", "b, c.png", "sub/d.png"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            Image.new("RGB", (8, 8)).save(tmp_path / name)
        (tmp_path / "labels.csv").write_bytes(raw if isinstance(raw, bytes) else raw.encode())
        return open_dataset(tmp_path, DEIT)

    return write


def listed(dataset):
    return [(s.name, s.label) for s in (*dataset.calibration, *dataset.evaluation)]


@pytest.mark.parametrize(
    "raw",
    [
        b"\xef\xbb\xbffile,label,split\r\na.png,7,calib\r\nsub/d.png,8,dev\r\n",
        "file,label,split\ra.png,7,calib\rsub/d.png,8,dev\r",
        " File , LABEL ,Split\na.png , 7 , calib \n\n  \nsub/d.png,+8,dev",
        "split,author,file,label\ncalib,me,a.png,007\ndev,,sub/d.png,8\n",
        "file,label,split,\na.png,7,calib,\nsub/d.png,8,dev,,,\n",
        '"file","label","split"\n"a.png","7","calib"\n"sub/d.png","8","dev"\n',
    ],
)
def test_spreadsheets_write_it_in_many_ways(table, raw):
    found = table(raw)
    assert listed(found) == [("a.png", 7), ("sub/d.png", 8)]
    assert found.notes()[0].endswith(": labels.csv")


def test_calibration_needs_no_label(table):
    assert listed(table('file,label,split\n"b, c.png",,calib\na.png,3,dev\n')) == [
        ("b, c.png", -1), ("a.png", 3),
    ]  # fmt: skip
    with pytest.raises(PotvitError, match="line 2: label '' is not a number"):
        table("file,label,split\na.png,,dev\n")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("file,label,split\na.png,1,dev\n./a.png,1,dev\n", r"line 3: \./a\.png is in dev already"),
        (
            "file,label,split\na.png,1,dev\na.png,2,calib\n",
            r"line 3: a\.png has label 1 further above",
        ),
        ("file,label,split\na.png,1000,dev\n", r"outside 0\.\.999 \(labels count from 0\)"),
        ("file,label,split\na.png,7.0,dev\n", "label '7.0' is not a number"),
        ("file,label,split\na.png,1_0,dev\n", "label '1_0' is not a number"),
        ("file,label,split\na.png,٣,dev\n", "label '٣' is not a number"),
        (f"file,label,split\na.png,{'9' * 5000},dev\n", "is not a number"),
        (
            "file,label,split\nb, c.png,7,dev\n",
            "4 values for 3 columns .a comma inside one needs q",
        ),
        ("file,label,split\n,7,dev\n", "line 2: the file name is missing"),
        ("file,label,split\nsub,7,dev\n", "picture sub does not exist"),
        ("file,label,split\na.png,7,\n", "split '' is neither calib nor dev"),
        ("file;label;split\na.png;7;dev\n", r"lacks the column 'file' \(its first line is 'file;l"),
        ("file,label,split,label\na.png,7,dev,8\n", "has the column 'label' twice"),
        ("", "lacks the column 'file'$"),
        ("file,label,split\n", "lists no pictures"),
        ("file,label,split\na.png,7,dev\n".encode("utf-16"), "is no CSV text"),
        ('file,label,split\n"a.png,7,dev\n', "file, label and split are needed: 1 values"),
    ],
)
def test_a_wrong_table_is_one_line(table, raw, message):
    with pytest.raises(PotvitError, match=message) as refusal:
        table(raw)
    assert "\n" not in str(refusal.value)


def test_a_picture_in_both_splits_is_told(table):
    found = table("file,label,split\na.png,,calib\na.png,3,dev\nsub/d.png,4,dev\n")
    assert listed(found) == [("a.png", -1), ("a.png", 3), ("sub/d.png", 4)]
    assert found.notes()[0].endswith("labels.csv, 1 of the pictures in both splits")
