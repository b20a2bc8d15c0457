"""The generic cell library: areas in NAND2 equivalents, written out as Liberty text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from golden.support.errors import PotvitError


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One library cell: ``area`` in NAND2 equivalents, ``outputs`` name to Boolean function."""

    name: str
    area: float
    inputs: tuple[str, ...]
    outputs: dict[str, str]


def _gate(name: str, area: float, inputs: str, function: str) -> Cell:
    return Cell(name=name, area=area, inputs=tuple(inputs), outputs={"Y": function})


FLIP_FLOP = Cell(name="DFF", area=5.67, inputs=("C", "D"), outputs={"Q": "IQ"})

#: Gates that logic optimisation maps to.
GATES = (
    _gate("INV", 0.67, "A", "!A"),
    _gate("NAND2", 1.0, "AB", "!(A&B)"),
    _gate("NOR2", 1.0, "AB", "!(A|B)"),
    _gate("AND2", 1.33, "AB", "A&B"),
    _gate("OR2", 1.33, "AB", "A|B"),
    _gate("AOI21", 1.33, "ABC", "!((A&B)|C)"),
    _gate("OAI21", 1.33, "ABC", "!((A|B)&C)"),
    _gate("XOR2", 2.0, "AB", "A^B"),
    _gate("XNOR2", 2.0, "AB", "!(A^B)"),
    _gate("MUX2", 2.33, "ABS", "(A&!S)|(B&S)"),
)

#: Adder cells, placed by technology mapping (synth/adders.v) before logic optimisation.
ADDERS = (
    Cell(name="HA", area=3.33, inputs=("A", "B"), outputs={"S": "A^B", "CO": "A&B"}),
    Cell(
        name="FA",
        area=5.33,
        inputs=("A", "B", "CI"),
        outputs={"S": "A^B^CI", "CO": "(A&B)|(A&CI)|(B&CI)"},
    ),
)

LIBRARY = (*GATES, *ADDERS, FLIP_FLOP)


def liberty_text() -> str:
    """`LIBRARY` as Liberty without timing tables; areas are NAND2 equivalents."""
    lines = ["/* NAND2-equivalent cell library. No timing: area only. */", "library(potvit) {"]
    for cell in LIBRARY:
        lines.append(f"  cell({cell.name}) {{ area : {cell.area:g};")
        if cell is FLIP_FLOP:
            lines.append('    ff(IQ, IQN) { clocked_on : "C"; next_state : "D"; }')
        for pin in cell.inputs:
            clock = " clock : true;" if cell is FLIP_FLOP and pin == "C" else ""
            lines.append(f"    pin({pin}) {{ direction : input;{clock} }}")
        for pin, function in cell.outputs.items():
            lines.append(f'    pin({pin}) {{ direction : output; function : "{function}"; }}')
        lines.append("  }")
    return "\n".join([*lines, "}", ""])


def check_liberty(path: Path) -> str:
    """The text of a user's Liberty file, which must have what mapping needs.

    Needed are an inverter, a two-input gate, a rising-edge D flip-flop without set or reset, and
    an area for each of them.

    Raises:
        PotvitError: the file is missing, is no Liberty, or lacks one of these cells.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise PotvitError(f"Liberty file {path}: {error.strerror}") from None
    cells = cell_bodies(text)
    if not cells:
        raise PotvitError(f"Liberty file {path}: no cell found; is it a .lib text file?")
    usable = [body for body in cells.values() if re.search(r"\barea\s*:\s*[\d.]*[1-9]", body)]
    functions = [_functions(body) for body in usable if not re.search(r"\b(ff|latch)\b", body)]
    single = [only for found in functions if len(found) == 1 for only in found]
    needs = {
        "an inverter": any(re.fullmatch(r"!\w+|\w+'", f) for f in single),
        "a two-input NAND, NOR, AND or OR": any(
            re.fullmatch(r"!?\w+[&|*+]\w+'?|\w+'[&|*+]\w+'|\w+'[&|*+]\w+", f) for f in single
        ),
        "a rising-edge D flip-flop without set or reset": any(map(_plain_flip_flop, usable)),
    }
    missing = [need for need, there in needs.items() if not there]
    if missing:
        raise PotvitError(f"Liberty file {path} lacks {', '.join(missing)} (with a non-zero area)")
    return text


def cell_bodies(text: str) -> dict[str, str]:
    """Cell name to the text between its braces."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)
    bodies = {}
    for match in re.finditer(r"\bcell\s*\(\s*\"?([^\s\")]+)\"?\s*\)\s*\{", text):
        depth, at = 1, match.end()
        while depth and at < len(text):
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += 1
        bodies[match[1]] = text[match.end() : at - 1]
    return bodies


def _functions(body: str) -> list[str]:
    """Output functions of a cell without blanks and parentheses."""
    found = re.findall(r'\bfunction\s*:\s*"([^"]*)"', body)
    return [re.sub(r"[\s()]", "", function) for function in found]


def _plain_flip_flop(body: str) -> bool:
    group = re.search(r"\bff\s*\([^)]*\)\s*\{([^}]*)\}", body)
    if not group or re.search(r"\b(clear|preset)\b", group[1]):
        return False
    clock = re.search(r'\bclocked_on\s*:\s*"\s*\(?\s*(\w+)\s*\)?\s*"', group[1])
    data = re.search(r'\bnext_state\s*:\s*"\s*\(?\s*(\w+)\s*\)?\s*"', group[1])
    return bool(clock and data)
