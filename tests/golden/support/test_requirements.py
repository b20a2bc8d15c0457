import os
import shutil

import pytest

from golden.support import requirements
from golden.support.errors import PotvitError
from golden.support.requirements import CAPABILITIES, REQUIREMENTS, missing, require


def test_every_row_has_a_known_capability_and_a_package():
    assert {row.capability for row in REQUIREMENTS} == set(CAPABILITIES)
    assert all(row.package and "\n" not in row.message() for row in REQUIREMENTS)


def test_the_machine_that_runs_this_has_what_is_required():
    assert [row.name for row in REQUIREMENTS if row.required and row.probe() is False] == []


def test_nothing_on_the_search_path(monkeypatch, tmp_path):
    """Programs, headers and Perl's modules are missed; Python's own modules are not."""
    monkeypatch.setenv("PATH", str(tmp_path))
    absent = {row.name.partition(" ")[0] for row in REQUIREMENTS if row.probe() is False}
    assert absent == {
        "make", "g++", "C++", "perl", "Perl", "zlib.h", "lz4.h", "iverilog", "vvp", "sta",
    }  # fmt: skip
    assert missing("set-up") is None
    with pytest.raises(PotvitError, match=r"^make is missing: install it \(Debian package: make\)"):
        require("simulation")
    assert "zlib1g-dev" in (missing("waves") or "")


def test_a_perl_without_its_documentation_modules(monkeypatch, tmp_path):
    """Debian's perl-base: the program is there, a module that Verilator's script loads is not."""
    for name in ("make", "g++"):
        (tmp_path / name).symlink_to(shutil.which(name))
    (tmp_path / "perl").write_text("#!/bin/sh\nexit 2\n")
    (tmp_path / "perl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin")
    assert (missing("simulation") or "").startswith("Perl module Pod::Usage is missing")


def test_the_answer_follows_the_include_path(monkeypatch, tmp_path):
    found = requirements._header("potvit_no_such_header.h")
    assert not found()
    (tmp_path / "potvit_no_such_header.h").touch()
    monkeypatch.setenv("CPATH", str(tmp_path))
    assert found()


@pytest.mark.needs("waves")
def test_a_test_of_an_optional_capability_runs_only_where_it_is():
    assert missing("waves") is None
