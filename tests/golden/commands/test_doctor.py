from dataclasses import replace

import pytest

from golden.__main__ import COMMANDS
from golden.commands import doctor
from golden.support.command_line import main
from golden.support.requirements import REQUIREMENTS


@pytest.fixture
def machine(monkeypatch):
    """``machine(names)``: a machine that lacks the rows with these names and has all others."""

    def lacking(*names):
        rows = [replace(r, probe=lambda r=r: r.name not in names) for r in REQUIREMENTS]
        assert {r.name for r in rows} >= set(names)
        monkeypatch.setattr(doctor, "REQUIREMENTS", rows)

    return lacking


@pytest.mark.parametrize(
    ("absent", "status", "advice"),
    [
        ([], 0, ["nothing required is missing"]),
        (["lz4.h"], 0, ["optional: apt-get install liblz4-dev", "nothing required is missing"]),
        (["g++"], 1, ["required: apt-get install g++"]),
        (["zlib.h", "perl"], 1,
         ["optional: apt-get install zlib1g-dev", "required: apt-get install perl"]),
    ],
)  # fmt: skip
def test_what_is_missing_and_the_package_that_has_it(machine, capsys, absent, status, advice):
    machine(*absent)
    assert main("golden", COMMANDS, ["doctor"]) == status
    lines = capsys.readouterr().out.splitlines()
    table = lines[1 : 1 + len(REQUIREMENTS)]
    assert lines[2 + len(REQUIREMENTS) :] == advice
    for row, line in zip(REQUIREMENTS, table, strict=True):
        assert line.startswith("missing" if row.name in absent else "there")
        assert row.package in line
        assert ("(optional)" in line) == (not row.required)


def test_pinned_packages_of_another_release_are_named(machine, monkeypatch, capsys):
    machine()
    releases = doctor._pins() | {"cocotb": "0.1", "tqdm": None}
    assert len(releases) >= 15
    monkeypatch.setattr(doctor, "_installed", releases.get)
    assert main("golden", COMMANDS, ["doctor"]) == 0
    assert "2 missing or of another release (tqdm, cocotb); make setup" in capsys.readouterr().out
