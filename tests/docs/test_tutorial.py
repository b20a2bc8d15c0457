"""Pages do what they say: their Python is run in one session, their commands one by one."""

import contextlib
import io
import re
import subprocess
from pathlib import Path

import pytest

from sim.simulator import generated, verilate

ROOT = Path(__file__).resolve().parents[2]
#: Caches that stay where they are while a page works in a folder of its own.
KEPT_IN = ((verilate, "CACHE"), (generated, "FOLDER"))


def blocks(page):
    """Kind and text of the page's blocks."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


BLOCKS = blocks("tutorial.md")


def run(found, name):
    """Run the Python blocks one after the other; how many printed what stands behind them."""
    session = {"__name__": name}
    compared = 0
    for (language, code), (kind, wanted) in zip(found, [*found[1:], ("", "")], strict=True):
        if language != "python":
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, f"{name}, block {compared}", "exec"), session)
        assert kind == "text", "a Python block without what it prints"
        assert printed.getvalue() == wanted
        compared += 1
    return compared


def test_python_prints_what_the_page_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(BLOCKS, "tutorial") >= 5
    assert (tmp_path / "build/tutorial/requantizer.vcd").stat().st_size > 1000


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [line for kind, code in BLOCKS if kind == "sh" for line in code.splitlines()]
)
def test_commands_work(command):
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout


def test_the_library_prints_what_its_page_shows(tmp_path, monkeypatch):
    """Up to where the simulator begins; the slow test goes on."""
    monkeypatch.chdir(tmp_path)
    found = blocks("api.md")
    first = next(i for i, (_, code) in enumerate(found) if "potvit.simulate(" in code)
    assert run(found[:first], "api") >= 6


@pytest.mark.slow
def test_the_library_drives_simulated_hardware(tmp_path, monkeypatch):
    kept = [(module, name) for module, name in KEPT_IN if hasattr(module, name)]
    assert len(kept) == len(KEPT_IN)
    for module, name in kept:
        monkeypatch.setattr(module, name, getattr(module, name).resolve())
    monkeypatch.chdir(tmp_path)
    assert run(blocks("api.md"), "api") >= 8
