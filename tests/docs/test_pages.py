"""The pages: links and paths exist, every symbol is explained, the commands are those of CI."""

import os
import re
import shlex
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest

from hw.config import Config

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").glob("*.md"))
#: Capital words of the tables that are no symbols: English, and names explained where they stand.
ENGLISH = {"A", "I", "If", "In", "It", "No", "On", "Or", "So", "To", "At", "As", "Be", "Is", "By"}


def anchors(page):
    """What GitHub makes of a page's headings."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_of_sources_exist(page):
    """Paths from the root; a room that a design only plans has no file suffix yet."""
    text = page.read_text(encoding="utf-8")
    for path in set(re.findall(r"\b(?:golden|hw|sim|synth|tests|tools)/[\w/]+\.\w+\b", text)):
        assert (ROOT / path).exists(), path


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "index.md" or f"({page.name})" in index, page.name


def explained():
    """Words of the first columns of the glossary's tables."""
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE)
    return {word.strip(" `") for cell in cells for word in cell.split(",")}


def test_every_symbol_is_in_the_glossary():
    known = explained()
    assert {"R", "Cn", "K", "D", "P", "ACT", "granule", "sweep", "drain", "band"} <= known
    architecture = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = [line for line in architecture.splitlines() if line.startswith("|")]
    assert len(rows) > 30
    used = set(re.findall(r"\b(?:[A-Z][A-Z]+\d?|[A-Z][a-z]?\d?)\b", "\n".join(rows))) - ENGLISH
    used |= set(re.findall(r"\((\w{1,2})\)", Config.__doc__))
    used |= set(re.findall(r"``(?:2)?([A-Z]\w?)[*/`]", (ROOT / "hw/config.py").read_text()))
    assert used <= known, sorted(used - known)


def test_every_parameter_is_explained():
    source = (ROOT / "hw" / "config.py").read_text(encoding="utf-8")
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    for name in ("rows", "cols", "lanes", "head_lanes", "keys_per_cycle"):
        assert f"`{name}`" in glossary
    unexplained = [
        f.name
        for f in fields(Config)
        if f.name != "name"
        and not f.name.endswith("_words")  # words of the memory named
        and f"``{f.name}" not in Config.__doc__
    ]
    assert "``" in source
    assert unexplained == []


def two_commands():
    """The set-up commands of the README, a line each."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"^## Two commands$.*?^```sh\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    assert block is not None
    return block[1].splitlines()


def test_the_commands_of_the_readme_do_what_it_says():
    """`make` would run the simulation of all tensors, and the suite behind the lint, as CI does."""
    simulation, suite = two_commands()
    assert (simulation, suite) == ("make sim MODEL=deit_tiny", "make test")
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").strip()
    assert script.endswith(f"exec {suite}")
    assert would_run(simulation) == [["-m", "sim", "run", "--model=deit_tiny"]]
    *lint, tests = would_run(suite)
    assert [words[1] for words in lint] == ["ruff", "ruff", "mypy"]
    assert tests[:2] == ["-m", "pytest"]
    assert not {"-m", "-k", "--ignore"} & set(tests[2:]), "CI leaves tests out"


def would_run(command):
    """What a `make` command of the README hands to Python, set-up apart."""
    words = [*shlex.split(command), "--no-print-directory", "-n", "-o", ".venv/.pins-installed"]
    # No variable of this run's own `make` comes along.
    env = {k: v for k, v in os.environ.items() if not k.startswith("MAKE") and k != "MFLAGS"}
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    lines = [shlex.split(line) for line in done.stdout.splitlines()]
    assert lines
    assert all(line[0] == ".venv/bin/python" for line in lines)
    return [line[1:] for line in lines]


@pytest.mark.slow
def test_the_first_command_of_the_readme_proves_every_tensor(real_data):
    """As a user types it, through the Makefile."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("MAKE") and k != "MFLAGS"}
    done = subprocess.run(
        shlex.split(two_commands()[0]), cwd=ROOT, env=env | {"POTVIT_DATA": str(real_data)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    equal, expected = re.search(r"(\d+) of (\d+) tensors equal", done.stdout).groups()
    assert equal == expected
    assert int(expected) > 100
