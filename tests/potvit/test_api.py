"""The library's face: every name is there, typed, documented, and costs nothing before its use."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import potvit

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "potvit" / "__init__.py"


@pytest.mark.parametrize("name", potvit.__all__)
def test_every_name_leads_somewhere(name):
    value = getattr(potvit, name)
    assert value.__doc__
    assert value is getattr(potvit, name)


def test_type_checkers_see_the_same_names():
    found = {}
    for node in ast.walk(ast.parse(SOURCE.read_text(encoding="utf-8"))):
        if isinstance(node, ast.If):
            for line in node.body:
                if isinstance(line, ast.ImportFrom):
                    found |= {a.asname: (line.module, a.name) for a in line.names}
    assert found == potvit._PLACES
    assert sorted(found) == potvit.__all__ == dir(potvit)
    assert (ROOT / "potvit" / "py.typed").exists()


def test_importing_costs_nothing():
    code = (
        "import sys, potvit\n"
        "heavy = {'torch', 'amaranth', 'timm', 'numpy', 'cocotb'}\n"
        "assert not heavy & set(sys.modules)\n"
        "potvit.compile, potvit.Driver, potvit.load_bundle\n"
        "assert heavy & set(sys.modules) == {'numpy'}, heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="has no attribute 'compilr'"):
        potvit.compilr  # noqa: B018


def test_the_page_names_all():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    table = "\n".join(line for line in page.splitlines() if line.startswith("| `"))
    missing = [name for name in potvit.__all__ if f"`{name}`" not in table]
    assert missing == ["PotvitError"]
    assert "`potvit.PotvitError`" in page
