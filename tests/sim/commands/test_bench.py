"""The comparison of simulators: turns, ratio, and what is refused."""

import json
import re

import pytest

from golden.support.command_line import main
from sim.__main__ import COMMANDS

#: A checkout whose simulation takes as long as the file ``seconds`` says and writes who it was.
RUN = """
import json, pathlib, sys
out = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
here = pathlib.Path.cwd()
with (here.parent / "turns").open("a") as turns:
    turns.write(here.name + "\\n")
if (here / "broken").exists():
    sys.exit("error: it broke")
out.write_text(json.dumps({
    "cycles": 900, "checkpoint_cycles": 1100, "sim_seconds": float((here / "seconds").read_text()),
    "bit_exact": not (here / "differs").exists(),
}))
"""


@pytest.fixture
def checkouts(tmp_path, monkeypatch):
    """Two of them, the first being where the command runs."""
    for name, seconds in (("ours", "2.0"), ("other", "5.0")):
        (tmp_path / name / "sim" / "commands").mkdir(parents=True)
        (tmp_path / name / "sim" / "__init__.py").touch()
        (tmp_path / name / "sim" / "__main__.py").write_text(RUN)
        (tmp_path / name / "sim" / "commands" / "run.py").touch()
        (tmp_path / name / "seconds").write_text(seconds)
    monkeypatch.chdir(tmp_path / "ours")
    return tmp_path


def bench(*words):
    return main("sim", COMMANDS, ["bench", "--repeats", "2", "--out", "bench.json", *words])


def test_they_take_turns_and_the_ratio_is_theirs(checkouts, capsys):
    assert bench("--against", "../other") == 0
    report = json.loads((checkouts / "ours" / "bench.json").read_text())
    assert (report["ratio"], report["cycles_per_second"]) == (2.5, 1000)
    assert report["seconds"] == {"ours": [2.0, 2.0], "other": [5.0, 5.0]}
    assert report["ratios"] == [2.5, 2.5]
    assert set(report["load"]) == {"before", "after"}
    turns = (checkouts / "turns").read_text().split()
    assert turns == ["ours", "other"] * 3  # the first pair warms up
    assert "1000 cycles/s, 2.5 times the other checkout's" in capsys.readouterr().out


def test_alone_it_has_no_ratio(checkouts):
    assert bench() == 0
    report = json.loads((checkouts / "ours" / "bench.json").read_text())
    assert report["ratio"] is None
    assert report["cycles_per_second"] == 1000


@pytest.mark.parametrize(
    ("mark", "words"),
    [("broken", "the simulation in .*other failed: error: it broke"),
     ("differs", "the simulation in .*other was not bit-exact")],
)  # fmt: skip
def test_a_simulation_that_fails_is_an_error_of_one_line(checkouts, capsys, mark, words):
    (checkouts / "other" / mark).touch()
    assert bench("--against", "../other") == 2
    assert not (checkouts / "ours" / "bench.json").exists()
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert re.search(words, said)


def test_a_folder_that_is_no_checkout_is_refused(checkouts, capsys):
    assert bench("--against", "..") == 2
    assert "--against .. is no checkout of this project" in capsys.readouterr().err
    assert not (checkouts / "turns").exists()
