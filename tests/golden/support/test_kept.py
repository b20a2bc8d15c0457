import json

import pytest

from golden.support.kept import files_digest, read_kept, write_kept

RESULT = {"area": 12.5, "cells": ["a", "b"], "name": "\u00e9"}


def test_what_was_kept_comes_back(tmp_path, capsys):
    assert read_kept(tmp_path / "no") is None
    write_kept(tmp_path / "r.json", RESULT)
    assert read_kept(tmp_path / "r.json") == RESULT
    write_kept(tmp_path / "t.json", {"pair": (1, 2)})
    assert read_kept(tmp_path / "t.json") == {"pair": [1, 2]}
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"area": 1}', '{"sha256": "0", "result": {}}', b"\xff\xfe", "cut",
     "other"],
)  # fmt: skip
def test_a_broken_file_is_no_result_and_said(tmp_path, capsys, text):
    path = tmp_path / "r.json"
    write_kept(path, RESULT)
    if text == "cut":
        text = path.read_text()[:-9]
    elif text == "other":
        text = json.dumps(json.loads(path.read_text()) | {"result": RESULT | {"area": 12.4}})
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert read_kept(path) is None
    assert capsys.readouterr().err == f"kept file {path} is broken: it is made again\n"


def test_a_digest_of_files_follows_names_and_contents(tmp_path):
    (tmp_path / "in").mkdir()
    files = [tmp_path / "a.py", tmp_path / "in" / "b.py"]
    for path in files:
        path.write_text("x")
    first = files_digest(files, tmp_path)
    assert first == files_digest(reversed(files), tmp_path)
    files[1].write_text("y")
    assert first != files_digest(files, tmp_path)
    files[1].write_text("x")
    moved = files[1].rename(tmp_path / "in" / "c.py")
    assert first != files_digest([files[0], moved], tmp_path)
