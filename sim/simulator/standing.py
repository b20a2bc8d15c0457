"""Parts of a model that stand still are not computed again: a pass over Verilator's C++.

Verilator computes every register and wire at every clock, as straight code that is longer than the
processor's instruction caches: fetching it, not arithmetic, takes the time of a large model. Most
units wait most of the time. This pass cuts the functions of a clock edge into blocks and lets each
remember the values of *all* variables that its statements name. A block is left out while these are
what they were before its last run and that run changed none of them: it would do the same again.
Whatever writes a variable, another block, a memory or the host, is seen, because values are
compared and not events.

A block has only statements that are functions of the named variables: assignments, conditions,
Verilator's arithmetic. Memories, files, time and whatever this module does not know stay outside
the blocks and run as before; of a Verilator that writes other C++ nothing is changed.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: Characters of a block: few and large ones, as what compares is code that has to be fetched too.
LEAST, MOST = 15_000, 400_000
#: Runs of a block that is not still until it is looked at again.
PATIENCE = 8

_TYPE = r"(?P<type>CData|SData|IData|QData|VlWide<\d+>)/\*[^*]*\*/ (?P<name>\w+);"
_MEMBER = re.compile(rf"\s*{_TYPE}")
_LOCAL = re.compile(rf"^    {_TYPE}\n", re.M)
_FUNCTION = re.compile(
    r"^void Vtop___024root___(?:nba|ico)_sequent__TOP__\d+\(Vtop___024root\* vlSelf\) \{\n"
    r"(?P<head>(?:    [^\n]*\n)*?)    // Body\n(?P<body>.*?)^\}\n",
    re.S | re.M,
)
#: The inputs of the model, and where Verilator has all that depends on them computed.
_PORT = re.compile(r"^    +VL_(?:IN|INOUT)(?:8|16|64|W)?\((\w+),", re.M)
_INPUTS = "    vlSelfRef.__VicoFirstIteration = 1U;\n"
_OURS = re.compile(r"vlSelfRef\.(\w+)")
_WORD = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
#: What computes from its arguments alone.
_PURE = re.compile(
    r"VL_(SHIFT[LR]S?|EXTENDS?|ADD|SUB|NEGATE|REDXOR|GTS?|LTS?|GTES?|LTES?|EQ|NEQ|AND|OR|XOR|NOT|SEL"
    r"|ASSIGN|ASSIGNSEL|CONCAT|MULS?|ZERO|COUNTONES|BITSEL|BITWORD|BITBIT)_\w+"
    r"|VL_(UN)?LIKELY|[CSIQW]Data|if|else|Vtop__ConstPool__\w+"
)
_BYTES = {"CData": 1, "SData": 2, "IData": 4, "QData": 8}
_HELPER = """
struct Standing {
    unsigned wait = 0;
    bool kept = false, fixed = false;
};
"""


@dataclass(frozen=True, kw_only=True)
class _Variable:
    """One variable: C++ text that names it, its type, its place among the others."""

    text: str
    kind: str
    place: int

    @property
    def bytes(self) -> int:
        return _BYTES.get(self.kind) or 4 * int(self.kind[len("VlWide<") : -1])


def let_stand(folder: Path) -> int:
    """Rewrite the model that Verilator left in ``folder``; how many blocks may stand still now."""
    path = folder / "Vtop___024root.h"
    header = path.read_text(encoding="utf-8") if path.exists() else ""
    members, ports = _members(header), _PORT.findall(header)
    blocks = 0
    for path in sorted(folder.glob("Vtop___024root__*.cpp")):
        text = path.read_text(encoding="utf-8")
        functions = [_Function(match, members, blocks) for match in _FUNCTION.finditer(text)]
        parts, end = [], 0
        for function in functions:
            parts += [text[end : function.start], function.rewritten()]
            end = function.end
            blocks += function.blocks
        new = _guarded_inputs("".join([*parts, text[end:]]), ports)
        if new != text:
            at = new.index("\n", new.rindex("#include")) + 1
            path.write_text(new[:at] + _HELPER + new[at:], encoding="utf-8")
    return blocks


def _members(header: str) -> dict[str, _Variable]:
    """The plain variables of the model by name; neighbours in memory have neighbouring places."""
    found: dict[str, _Variable] = {}
    for place, line in enumerate(header.splitlines()):
        if match := _MEMBER.fullmatch(line):
            name = match["name"]
            found[name] = _Variable(text=f"vlSelfRef.{name}", kind=match["type"], place=place)
    return found


def _guarded_inputs(text: str, ports: list[str]) -> str:
    """``text`` with what depends on ports alone computed when one has changed, not at each edge."""
    if not ports or _INPUTS not in text:
        return text
    kept = " ".join(f"decltype(Vtop___024root::{name}) {name};" for name in ports)
    same = "".join(
        f"\n        && std::memcmp(&vlSelfRef.{name}, &inputs.{name}, sizeof inputs.{name}) == 0"
        for name in ports
    )
    copy = "".join(f"        inputs.{name} = vlSelfRef.{name};\n" for name in ports)
    return text.replace(
        _INPUTS,
        f"""
    static struct {{ {kept} }} inputs;
    static bool inputs_kept = false;
    const bool inputs_same = inputs_kept{same};
    if (!inputs_same) {{
        inputs_kept = true;
{copy}    }}
    vlSelfRef.__VicoFirstIteration = !inputs_same;
""",
    )


class _Function:
    """One function of a clock edge, cut into statements and these into blocks."""

    def __init__(self, match: re.Match[str], members: dict[str, _Variable], first: int) -> None:
        self.start, self.end = match.span()
        self.blocks = 0
        self._text, self._members, self._first = match, members, first
        self._locals = {
            found["name"]: _Variable(text=found["name"], kind=found["type"], place=-2 * number)
            for number, found in enumerate(_LOCAL.finditer(match["head"]), 1)
        }
        self._statements = list(_statements(match["body"]))
        opening: dict[str, str] = {}
        for text in self._statements:
            for word in _WORD.findall(text):
                opening.setdefault(word, text)
        # A local that is not set first may keep what it was before: it stays outside of blocks.
        for name in self._locals.keys() & opening.keys():
            sets = rf"\s*({name}(\[\d+U\])?\s*=(?!=)|VL_\w+\([\d,]* *{name}, )"
            if not re.match(sets, opening[name]):
                del self._locals[name]
        self._named = [self._names(text) for text in self._statements]

    def rewritten(self) -> str:
        """The function's text with its blocks guarded."""
        groups = list(self._groups())
        head, shared = self._head(groups)
        body = []
        for group in groups:
            text = "".join(self._statements[i] for i in group)
            names = set().union(*(self._named[i] or () for i in group))
            names -= self._locals.keys() - shared
            if self._is_block(group) and names:
                text = self._guarded(text, names)
            body.append(text)
        before = self._text[0][: self._text.start("head") - self.start]
        return f"{before}{head}    // Body\n{''.join(body)}}}\n"

    def _names(self, statement: str) -> set[str] | None:
        """Every variable that a statement names; None if it does more than compute with them."""
        ours = set(_OURS.findall(statement))
        words = set(_WORD.findall(re.sub(r"/\*.*?\*/", "", statement))) - {"vlSelfRef"}
        words = {word for word in words if not _PURE.fullmatch(word)}
        if not ours <= self._members.keys() or not words <= self._locals.keys():
            return None
        return None if '"' in statement or "->" in statement else ours | words

    def _groups(self) -> Iterator[list[int]]:
        """Neighbouring statements of one unit that only compute; others one by one."""
        group: list[int] = []
        size, unit = 0, ""
        for i, text in enumerate(self._statements):
            own = _unit(text)
            if group and (self._named[i] is None or own != unit or size + len(text) > MOST):
                yield group
                group, size = [], 0
            if self._named[i] is None:
                yield [i]
                continue
            group.append(i)
            size, unit = size + len(text), own
        if group:
            yield group

    def _is_block(self, group: list[int]) -> bool:
        pure = all(self._named[i] is not None for i in group)
        return pure and sum(len(self._statements[i]) for i in group) >= LEAST

    def _head(self, groups: list[list[int]]) -> tuple[str, set[str]]:
        """The declarations; locals that a block shares with others keep their values."""
        where: dict[str, set[int]] = {}
        for number, group in enumerate(groups):
            for i in group:
                text = self._statements[i]
                for name in self._locals.keys() & set(_WORD.findall(text)):
                    where.setdefault(name, set()).add(number)
        guarded = {number for number, group in enumerate(groups) if self._is_block(group)}
        shared = {n for n, found in where.items() if len(found) > 1 and found & guarded}
        head = self._text["head"]
        for name in shared:
            kind = re.escape(self._locals[name].kind)
            head = re.sub(rf"(?m)^    ({kind}/\*[^*]*\*/ {name};)$", r"    static \1", head)
            head = re.sub(rf"(?m)^    {name} = 0;\n", "", head)
        return head, shared

    def _guarded(self, text: str, names: set[str]) -> str:
        """A block that is left out while all of ``names`` stand still."""
        self.blocks += 1
        name = f"standing{self._first + self.blocks}"
        both = self._members | self._locals
        found = sorted((both[n] for n in names), key=lambda variable: variable.place)
        compare, copy, size = [], [], 0
        for first, count in _runs(found):
            where = f"&{first.text}, {name}_values + {size}, {first.bytes * count}"
            compare.append(f"std::memcmp({where}) == 0")
            copy.append(
                f"std::memcpy({name}_values + {size}, &{first.text}, {first.bytes * count});"
            )
            size += first.bytes * count
        same = "\n        && ".join(compare)
        kept = "\n        ".join(copy)
        return f"""
    static Standing {name};
    static unsigned char {name}_values[{size}];
    auto {name}_same = [&]() __attribute__((noinline)) -> bool {{
        return {same};
    }};
    auto {name}_keep = [&]() __attribute__((noinline, cold)) {{
        {kept}
    }};
    const bool {name}_before = {name}.kept && {name}_same();
    if (VL_LIKELY(!({name}_before && {name}.fixed))) {{
{text}
        if ({name}.kept) {{
            {name}.fixed = {name}_before && {name}_same();
            {name}.kept = {name}_before;
            {name}.wait = {PATIENCE};
            if ({name}_before && !{name}.fixed) {name}_keep();
        }} else if ({name}.wait) {{
            --{name}.wait;
        }} else {{
            {name}_keep();
            {name}.kept = true;
        }}
    }}
"""


def _statements(body: str) -> Iterator[str]:
    """The statements of a function's body, in order; together they are the body."""
    start = depth = 0
    for match in re.finditer(r'[(){};]|"(?:[^"\\]|\\.)*"', body):
        mark, end = match[0], match.end()
        if mark in "({":
            depth += 1
        elif mark in ")}":
            depth -= 1
        if depth or mark not in ";}" or re.match(r"\s*else\b", body[end : end + 200]):
            continue
        yield body[start:end]
        start = end
    yield body[start:]


def _unit(statement: str) -> str:
    """The part of the design that most of a statement's variables belong to."""
    scopes = Counter("__DOT__".join(name.split("__DOT__")[:5]) for name in _OURS.findall(statement))
    return scopes.most_common(1)[0][0] if scopes else ""


def _runs(variables: list[_Variable]) -> Iterator[tuple[_Variable, int]]:
    """The first of each run of neighbours of one type, and how many there are."""
    first, count = variables[0], 1
    for before, after in itertools.pairwise(variables):
        if after.place == before.place + 1 and after.kind == before.kind:
            count += 1
            continue
        yield first, count
        first, count = after, 1
    yield first, count
