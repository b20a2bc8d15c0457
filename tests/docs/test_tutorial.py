"""The tutorial does what it says: its Python is run in one session, its commands one by one."""

import contextlib
import io
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def test_python_prints_what_the_page_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    session = {"__name__": "tutorial"}
    compared = 0
    for (language, code), (kind, wanted) in zip(BLOCKS, [*BLOCKS[1:], ("", "")], strict=True):
        if language != "python":
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, f"tutorial, block {compared}", "exec"), session)
        assert kind == "text", "a Python block without what it prints"
        assert printed.getvalue() == wanted
        compared += 1
    assert compared >= 5
    assert (tmp_path / "build/tutorial/requantizer.vcd").stat().st_size > 1000


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [line for kind, code in BLOCKS if kind == "sh" for line in code.splitlines()]
)
def test_commands_work(command):
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout
