"""The floors of the house: who may import whom, found by reading the sources.

A room is a folder (or a module beside folders). Rooms of a package stand on floors; a module
imports its own room, lower floors, and what its package may see of others. Imports inside
functions count like all others.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: Lowest floor first; rooms of one line stand side by side and do not import one another.
FLOORS = {
    "golden": (
        "support",
        "ops",
        "graph",
        "catalogue",
        "data",
        "models",
        "execute",
        "quant",
        "synthetic training",
        "evaluation",
        "commands",
        "__main__",
    ),
    "hw": (
        "precision",
        "isa",
        "config",
        "formats",
        "lib",
        "program bus norm",
        "array attention dma buffers sequencer host rules",
        "operators top",
        "compiler interpreter package driver",
        "commands",
        "__main__",
    ),
    "formal": (
        "kit",
        "proofs",
        "commands",
        "__main__",
    ),
    "sim": (
        "simulator",
        "system",
        "kit",
        "fuzz",
        "benches analysis",
        "report",
        "explore search",
        "commands",
        "__main__",
    ),
    "potvit": (
        "examples commands",
        "__main__",
    ),
}

#: What a package may import of the others, by room; everything below it in this order.
PACKAGES = ("golden", "hw", "formal", "sim", "synth", "potvit", "tools")

#: The interpreter executes what the compiler made: it may not share its mistakes.
FORBIDDEN = {
    "hw.compiler": ("amaranth", "hw.interpreter", "hw.lib.memory"),
    "hw.interpreter": ("amaranth", "hw.compiler"),
    "hw.driver": ("amaranth", "hw.compiler", "sim"),
    "golden": ("amaranth", "cocotb", "hw", "sim", "synth", "potvit"),
}

#: The one way up: `golden.ops.hardware` finds an operator's component in this module, by a string
#: and only when asked, so that the golden model needs no Amaranth.
LOOK_UP = "hw.operators"


def modules():
    """Every module of the packages: dotted name to its path."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


def imports(path, known):
    """Dotted names that the module at ``path`` imports, wherever the statement stands."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative imports hide where a module stands"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                names.add(full if full in known else node.module)
    return names


MODULES = modules()
IMPORTS = {name: imports(path, MODULES) for name, path in MODULES.items()}


def room(module):
    """Package and room of a module."""
    package, _, rest = module.partition(".")
    return package, rest.split(".")[0]


def floor(module):
    """Floor number of a module of a package with floors."""
    package, name = room(module)
    for number, level in enumerate(FLOORS[package]):
        if name in level.split():
            return number
    pytest.fail(f"{module} stands on no floor: name its room in FLOORS")


def test_the_walk_sees_the_sources():
    assert len(MODULES) > 200
    assert "golden.support.errors" in IMPORTS["golden.graph.bundle"]
    assert LOOK_UP in MODULES
    assert [m for m, names in IMPORTS.items() if LOOK_UP in names] == []
    assert f'"{LOOK_UP}"' in MODULES["golden.ops.hardware"].read_text(encoding="utf-8")


@pytest.mark.parametrize("package", FLOORS)
def test_rooms_import_downwards(package):
    wrong = []
    for module, names in IMPORTS.items():
        if module == package or room(module)[0] != package:
            continue
        for name in sorted(names):
            if room(name)[0] != package or name == package or room(name) == room(module):
                continue
            if floor(name) >= floor(module):
                wrong.append(f"{module} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_packages_import_downwards():
    wrong = [
        f"{module} imports {name}"
        for module, names in IMPORTS.items()
        for name in sorted(names)
        if room(name)[0] in PACKAGES
        and PACKAGES.index(room(name)[0]) > PACKAGES.index(room(module)[0])
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("where", FORBIDDEN)
def test_forbidden_imports(where):
    """Also through others: the compiler without Amaranth must be importable without Amaranth."""
    seen, todo = {}, [m for m in MODULES if m == where or m.startswith(where + ".")]
    assert todo
    seen = dict.fromkeys(todo, "")
    while todo:
        module = todo.pop()
        for name in IMPORTS.get(module, ()):
            for banned in FORBIDDEN[where]:
                assert not f"{name}.".startswith(f"{banned}."), (
                    f"{module} imports {name} (reached from {seen[module] or where})"
                )
            if name in MODULES and name not in seen:
                seen[name] = module
                todo.append(name)


def test_no_circles():
    state: dict[str, int] = {}

    def visit(module, path):
        state[module] = 1
        for name in sorted(IMPORTS[module] & MODULES.keys()):
            if state.get(name) == 1:
                pytest.fail(
                    " -> ".join([*path[path.index(name) :], name] if name in path else path)
                )
            if name not in state:
                visit(name, [*path, name])
        state[module] = 2

    for module in MODULES:
        if module not in state:
            visit(module, [module])


@pytest.mark.parametrize("package", FLOORS)
def test_few_files_lie_in_the_hall(package):
    files = list((ROOT / package).glob("*.py"))
    assert 1 < len(files) <= 6, [f.name for f in files]
