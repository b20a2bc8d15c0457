"""No function is longer than a reader keeps in mind; docs/contributing.md says so."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("golden", "hw", "sim", "synth", "formal", "tools", "potvit", "tests")

#: Lines from `def` to the last statement, docstring included.
MOST = 80


def functions(source):
    """Name and lines of every function, methods and those inside others included."""
    return [
        (node.name, node.end_lineno - node.lineno + 1)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_function_is_longer(package):
    long, seen = [], 0
    for path in sorted((ROOT / package).rglob("*.py")):
        for name, lines in functions(path.read_text(encoding="utf-8")):
            seen += 1
            if lines > MOST:
                long.append(f"{path.relative_to(ROOT)}: {name} has {lines} lines")
    assert seen > 5, "hardly any function was found"
    assert not long, "\n".join(long)


def test_methods_and_inner_functions_are_measured():
    body = "\n".join(f"            x{n} = {n}" for n in range(80))
    source = f"class A:\n    def outer(self):\n        async def inner():\n{body}\n"
    assert functions(source) == [("outer", 82), ("inner", 81)]
    assert functions("def f():\n    return 1\n") == [("f", 2)]


def test_the_page_states_the_same_limit():
    page = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")
    assert f"no function over {MOST} lines" in page
