"""The console command: its groups, its examples, its words for persons and for machines."""

import argparse
import ast
import errno
import importlib
import importlib.metadata
import json
import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from formal.__main__ import COMMANDS as FORMAL
from golden.__main__ import COMMANDS as GOLDEN
from golden.support import command_line, notes
from golden.support.locations import BUILD
from golden.support.report_file import write_json
from hw.__main__ import COMMANDS as HW
from potvit.__main__ import COMMANDS, GROUPS, run
from potvit.examples import EXAMPLES
from sim.__main__ import COMMANDS as SIM
from synth.__main__ import COMMANDS as SYNTH

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def verbosity():
    """What a command set is not kept for other tests."""
    yield
    notes.set_verbosity()


def asked(capsys, *words):
    with pytest.raises(SystemExit) as end:
        run(words)
    assert end.value.code == 0
    return capsys.readouterr().out


def test_every_command_of_every_package_is_there():
    modules = {module for module, _ in COMMANDS.values()}
    others = [found for table in (GOLDEN, HW, SIM, SYNTH, FORMAL) for found, _ in table.values()]
    assert modules >= set(others)


def test_help_has_every_command_in_one_group(capsys):
    listed = [name for names in GROUPS.values() for name in names]
    assert sorted(listed) == sorted(COMMANDS)
    text = asked(capsys, "--help")
    for title, names in GROUPS.items():
        block = text.split(f"\n{title}:\n")[1].split("\n\n")[0]
        assert re.findall(r"^  (\S+) ", block, re.MULTILINE) == list(names)


def test_version(capsys):
    assert asked(capsys, "--version") == f"potvit {importlib.metadata.version('potvit')}\n"


def test_help_imports_no_heavy_library():
    code = (
        "import sys; from potvit.__main__ import run\n"
        "try: run(['--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'amaranth', 'timm', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_are_shown_and_parse(name, capsys):
    examples = EXAMPLES[name]
    assert len(examples) >= 2
    text = asked(capsys, name, "--help")
    parser = argparse.ArgumentParser(exit_on_error=False)
    importlib.import_module(COMMANDS[name][0]).add_arguments(parser)
    command_line.add_common(parser)
    for line in examples:
        assert f"\n  {line}" in text
        program, command, *words = shlex.split(line)
        assert (program, command) == ("potvit", name)
        parser.parse_args(words)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_report_for_machines(name, capsys):
    assert "--json" in asked(capsys, name, "--help")
    run_function = next(
        node for node in ast.parse(Path(find_spec(COMMANDS[name][0]).origin).read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name == "run"
    )  # fmt: skip
    stored = {ast.unparse(x) for x in ast.walk(run_function) if isinstance(x, ast.Attribute)
              and isinstance(x.ctx, ast.Store)}  # fmt: skip
    assert "args.report" in stored


def test_examples_name_no_command_that_is_gone():
    assert EXAMPLES.keys() == COMMANDS.keys()


class Talker:
    """A command that says all it can."""

    def add_arguments(self, parser):
        pass

    def run(self, args):
        notes.note("a note")
        notes.detail("a detail")
        print("text for persons")
        args.report = {"figure": 3}
        return 0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], ["a note"]),
        (["-q"], []),
        (["-v"], ["a note", "a detail", "test talk: 0.0 s"]),
    ],
)
def test_notes_go_to_standard_error(monkeypatch, capsys, flags, said):
    monkeypatch.setitem(sys.modules, "talker", Talker())
    assert command_line.main("test", {"talk": ("talker", "talks")}, ["talk", *flags]) == 0
    captured = capsys.readouterr()
    assert captured.out == "text for persons\n"
    assert captured.err.splitlines() == said


def test_json_is_all_there_is_on_standard_output(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "talker", Talker())
    assert command_line.main("test", {"talk": ("talker", "talks")}, ["talk", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"figure": 3}


@pytest.mark.parametrize(("inside", "cured"), [(True, True), (False, False)])
def test_a_build_folder_that_cannot_be_written_has_a_cure(
    inside, cured, monkeypatch, capsys, tmp_path
):
    """Raised by a cache or by a report's writer: where results and caches go is a variable."""
    path = (BUILD.absolute() if inside else tmp_path) / "kept.json"
    closed = OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    def fail(*_, **__):
        raise closed

    monkeypatch.setattr("golden.support.report_file.write_whole", fail)
    for work in (fail, lambda _: write_json(path, {})):
        talker = Talker()
        talker.run = work
        monkeypatch.setitem(sys.modules, "talker", talker)
        assert command_line.main("test", {"talk": ("talker", "talks")}, ["talk"]) == 2
        error = capsys.readouterr().err
        assert "kept.json" in error
        assert "Read-only file system" in error
        assert error.count("\n") == 1
        assert (f"POTVIT_BUILD=FOLDER names another place than {BUILD}" in error) == cured


def test_a_library_user_may_send_notes_elsewhere():
    """Handlers in the place of the logger's one get them."""
    code = (
        "import logging, sys; from golden.support.notes import note\n"
        "logging.getLogger('potvit').handlers = [logging.StreamHandler(sys.stdout)]\n"
        "note('said')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("said\n", "")


def test_doctor_for_machines(capsys):
    run(["doctor", "--json"])
    rows = json.loads(capsys.readouterr().out)["requirements"]
    assert {"name", "found", "package"} <= rows[0].keys()


#: Commands whose report is also their result: words, what stands for their hours, keys to be seen.
REPORTING = {
    "study": ("--list", {}, {"rows"}),
    "export": ("vit_digits --calib 2 --out {}/bundle", {}, {"bundle", "nodes", "model", "bits"}),
    "train-digits": (
        "--out {}/new/folder/w.safetensors", {"golden.commands.train_digits.train": ({}, 97.5)},
        {"weights", "top1"},
    ),
    "prove": (
        "--out {}/r.json", {"formal.commands.prove.run_all": []}, {"proofs", "failed", "table"},
    ),
    "search": (
        "--budget 1",
        {
            "sim.commands.search.search": {"front": [], "best": {"cycles": 1, "agreement": 99.0}},
            "sim.commands.search.FOLDER": Path("{}"), "sim.commands.search.plot": None,
            "sim.commands.search.sections": [], "sim.commands.search.write_bits": None,
        },
        {"front", "best"},
    ),
    "explore": (
        "vit_digits --out {}",
        {
            "sim.commands.explore.explore": {"points": []}, "sim.commands.explore.sections": [],
            "sim.commands.explore.pareto_plot": None, "sim.commands.explore.area_model": None,
        },
        {"model", "points"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REPORTING)
def test_the_report_is_all_there_is_on_standard_output(name, tmp_path, monkeypatch, capsys):
    words, stubs, keys = REPORTING[name]
    for place, value in stubs.items():
        stub = Path(str(value).format(tmp_path)) if isinstance(value, Path) else (
            lambda *_, value=value, **__: value
        )  # fmt: skip
        monkeypatch.setattr(place, stub)
    assert run([name, *words.format(tmp_path).split(), "--json"]) == 0
    assert keys <= json.loads(capsys.readouterr().out).keys()


def test_one_variable_decides_where_results_go(tmp_path):
    """Every module that keeps something: none names the folder itself."""
    code = (
        "import importlib, pkgutil, pathlib, golden, hw, sim, synth, formal\n"
        "places = {}\n"
        "for name in ('golden.commands.eval', 'golden.quant.learn.defaults',\n"
        "             'golden.support.progress', 'sim.simulator.verilate', 'sim.system.whole',\n"
        "             'sim.simulator.generated', 'sim.system.bundles', 'synth.yosys',\n"
        "             'sim.report.inputs', 'formal.kit.engine', 'sim.commands.run'):\n"
        "    for key, value in vars(importlib.import_module(name)).items():\n"
        "        if isinstance(value, pathlib.Path) and not value.is_absolute():\n"
        "            print('left behind', name, key, value)\n"
        "from golden.support.locations import BUILD; print(BUILD)\n"
    )
    env = os.environ | {"POTVIT_BUILD": str(tmp_path / "results")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{tmp_path / 'results'}\n"
    named = [
        path for package in ("golden", "hw", "sim", "synth", "formal", "potvit")
        for path in (ROOT / package).rglob("*.py")
        if re.search(r"""Path\(["']build\b""", path.read_text(encoding="utf-8"))
    ]  # fmt: skip
    assert named == []


#: What takes minutes in each command that takes --out, and words that the command needs.
WORK = {
    "eval": ("golden.commands.eval.load_found", "vit_digits"),
    "export": ("golden.commands.export.load_found", "vit_digits"),
    "study": ("golden.commands.study.Study", "--model vit_digits"),
    "bench": ("golden.commands.bench.load_found", "vit_digits"),
    "train": ("golden.commands.train.load_found", "vit_digits"),
    "train-digits": ("golden.commands.train_digits.train", ""),
    "verilog": ("hw.top.verilog.generate", "--config tiny"),
    "synth": ("synth.run_command._report", "--config tiny"),
    "prove": ("formal.commands.prove.run_all", ""),
    "sim": ("sim.commands.run.network", "--model vit_digits"),
    "sim-bench": ("sim.commands.bench.simulated", ""),
    "explore": ("sim.commands.explore.network", "--model vit_digits"),
    "fuzz": ("sim.commands.fuzz.campaign", ""),
    "package": ("sim.simulator.generated.generated", "--config tiny"),
}
#: Seconds at most.
SHORT = {"compile", "report"}


def test_it_is_known_what_takes_long():
    def takes_out(name):
        parser = argparse.ArgumentParser()
        importlib.import_module(COMMANDS[name][0]).add_arguments(parser)
        return "--out" in parser._option_string_actions

    assert {name for name in COMMANDS if takes_out(name)} == {*WORK, *SHORT}


@pytest.mark.parametrize("name", WORK)
def test_no_work_begins_whose_result_has_no_place(name, tmp_path, monkeypatch, capsys):
    work, words = WORK[name]
    monkeypatch.setattr(work, lambda *_, **__: pytest.fail("it was worked"))
    (tmp_path / "file").write_text("in the way")
    out = tmp_path / "file" / "out"
    assert run([name, *words.split(), "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert str(tmp_path / "file") in error
