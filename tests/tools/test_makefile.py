"""The Makefile's variables: each reaches the command of every target that takes it, as it is
written, and no other target accepts it. What there is is read from the Makefile itself."""

import argparse
import importlib
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "Makefile").read_text()
TARGETS = re.findall(r"^([a-z-]+):.*?## ", TEXT, re.MULTILINE)
OPTIONS = dict(re.findall(r"^option-(\w+)\s*:=\s*(--[\w-]+)?\s*##", TEXT, re.MULTILINE))
TAKES = {
    target: words.split()
    for target, words in re.findall(r"^takes-([a-z-]+)\s*:= (.*)$", TEXT, re.MULTILINE)
}
#: Variables that say yes or no.
FLAGS = set(re.findall(r"^FLAGS := (.*)$", TEXT, re.MULTILINE)[0].split())
#: Python's own `-m NAME` with a command behind it: the packages with commands.
PACKAGES = ("formal", "golden", "hw", "potvit", "sim", "synth")
#: Nothing is set up and nothing is run; no variable of ours comes from the caller's shell.
SHELL = {k: v for k, v in os.environ.items() if k not in {*OPTIONS, "MAKEFLAGS", "MAKELEVEL"}}


def make(*words, **environment):
    return subprocess.run(
        ["make", "--no-print-directory", "-n", "-o", ".venv/.pins-installed", *words],
        cwd=ROOT, env=SHELL | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def command(target, *words):
    """The words of the command that ``make target`` would run."""
    done = make(target, *words)
    assert done.returncode == 0, done.stderr
    return shlex.split(done.stdout.replace("\\\n", " ").splitlines()[-1])


def parser_of(words):
    """The options of the command, by their long names; None for one without sub-commands."""
    at = words.index("-m")
    package, name = words[at + 1], words[at + 2]
    if package not in PACKAGES:
        return None
    commands = importlib.import_module(f"{package}.__main__").COMMANDS
    parser = argparse.ArgumentParser()
    importlib.import_module(commands[name][0]).add_arguments(parser)
    return parser


def test_the_makefile_is_understood_here():
    assert len(TARGETS) >= 18
    assert len(OPTIONS) >= 18
    assert len(TAKES) >= 10
    assert set(TAKES) <= set(TARGETS)
    assert {name for words in TAKES.values() for name in words} | {"PYTHON"} == set(OPTIONS)


def required(target):
    return ["IMAGE=x.png"] if target == "classify" else []


@pytest.mark.parametrize("target", TAKES)
def test_every_variable_reaches_the_command(target):
    """As one word, whatever it holds; and the command knows its option."""
    awkward = {v: f'{v} it\'s "$x" $(y `z` #{v}' for v in TAKES[target] if v not in FLAGS}
    flags = sorted(FLAGS & set(TAKES[target]))
    words = command(target, *(f"{name}={value}" for name, value in awkward.items()),
                    *(f"{name}=1" for name in flags))  # fmt: skip
    parser = parser_of(words)
    for name, value in awkward.items():
        if value in words:
            assert name in ("IMAGE", "MODEL", "DATA") or parser is None, "positional arguments"
        else:
            assert f"{OPTIONS[name]}={value}" in words
            assert parser is not None
            assert OPTIONS[name] in parser._option_string_actions
    for name in flags:
        assert OPTIONS[name] in words
        assert parser is not None
        assert parser._option_string_actions[OPTIONS[name]].nargs == 0


@pytest.mark.parametrize("target", [t for t in TAKES if FLAGS & set(TAKES[t])])
def test_a_yes_or_no_is_1_or_0_and_nothing_else(target):
    for name in sorted(FLAGS & set(TAKES[target])):
        assert OPTIONS[name] not in command(target, *required(target), f"{name}=0")
        for done in (make(target, *required(target), f"{name}=yes"),
                     make(target, *required(target), **{name: "2 1"})):  # fmt: skip
            assert done.returncode == 2
            assert done.stdout == ""
            assert f"{name} is 1 or 0, not " in done.stderr


@pytest.mark.parametrize("target", TAKES)
def test_a_variable_is_taken_wherever_the_command_has_its_option(target):
    parser = parser_of(command(target, *required(target)))
    if parser is not None:
        known = {name for name, o in OPTIONS.items() if o in parser._option_string_actions}
        assert known <= set(TAKES[target])


@pytest.mark.parametrize("target", TARGETS)
def test_a_variable_that_a_target_does_not_take_is_refused_in_one_line(target):
    others = {*OPTIONS, "MODLE"} - set(TAKES.get(target, ())) - {"PYTHON"}
    done = make(target, *required(target), *(f"{name}=1" for name in sorted(others)))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    named = done.stderr.split(f"make {target} takes no ")[1].split(";")[0].split()
    assert set(named) == others


def test_a_variable_of_one_of_several_goals_is_taken():
    done = make("sim", "report", "MODEL=vit_digits", "SEED=3")
    assert done.returncode == 0
    assert done.stdout.count("vit_digits") == 2
    assert done.stdout.count("--seed='3'") == 1


def test_defaults_are_the_commands_own():
    for target in TAKES:
        words = command(target, *required(target))
        options = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert not options & set(OPTIONS.values()), words


def test_a_variable_from_the_shell_is_taken_and_said():
    done = make("sim", MODEL="vit_digits", LIBERTY="x")
    assert "--model='vit_digits'" in done.stdout
    assert re.fullmatch(r"Makefile:\d+: MODEL=vit_digits comes from the environment\n", done.stderr)


def test_another_makefile_may_call_ours():
    """Its own variables come along in MAKEFLAGS; they are no mistake of ours."""
    done = make("verilog", MAKEFLAGS=" -- V=1 CONFIG=tiny", MAKELEVEL="1")
    assert done.returncode == 0, done.stderr
    assert "--config='tiny'" in done.stdout


def test_classify_without_a_picture_is_one_line():
    done = make("classify")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "name a picture: make classify IMAGE=photo.jpg" in done.stderr
    assert done.stderr.count("\n") == 1


def test_help_lists_every_target_and_every_variable():
    done = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT, env=SHELL, capture_output=True, text=True, check=True,
    )  # fmt: skip
    targets, variables = done.stdout.split("\nvariables (default):\n")
    assert re.findall(r"^  make (\S+)", targets, re.MULTILINE) == TARGETS
    for target, names in TAKES.items():
        assert re.search(rf"^  make {target} .*\n +{' '.join(names)}$", targets, re.MULTILINE)
    assert [line.split()[0] for line in variables.splitlines()] == list(OPTIONS)
    assert all(len(line.split()) > 1 for line in variables.splitlines())
    phony = re.search(r"^\.PHONY: (.*)$", TEXT.replace("\\\n", " "), re.MULTILINE)
    assert phony
    assert set(phony[1].split()) == set(TARGETS)


def test_the_callers_shell_reaches_no_recipe(tmp_path):
    """Neither our own variables nor what it has set for other Pythons, tests and makes."""
    extra = tmp_path / "extra.mk"
    extra.write_text("shown:\n\t@env\n\t@$(PYTHON) -c 'print(\"runs\")'\n")
    hostile = {
        "PYTHONHOME": "/nowhere", "PYTHONPATH": "/nowhere", "PYTHONSTARTUP": "/no.py",
        "PYTHONOPTIMIZE": "2", "PYTEST_ADDOPTS": "-k nothing", "MYPYPATH": "/nowhere",
        "RUFF_CONFIG": "/no.toml", "MODEL": "x", "DATA": "/x", "MAKEFLAGS": "k",
    }  # fmt: skip
    done = subprocess.run(
        ["make", "--no-print-directory", "-f", "Makefile", "-f", extra, "shown", "PYTHON=python3"],
        cwd=ROOT, env=SHELL | hostile, capture_output=True, text=True, check=True,
    )  # fmt: skip
    seen = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert not set(hostile) & set(seen)
    assert seen["PYTHONHASHSEED"] == "0"
    assert "runs" in done.stdout
