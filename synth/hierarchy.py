"""Modules of generated Verilog: who instantiates whom, and which are the same but for names."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

from hw.lib.memory import MODULE

_TOKEN = re.compile(
    r"\d+'s?[bdho][0-9a-fA-FxXzZ?_]+"  # sized constant
    r"|\"[^\"]*\""
    r"|(?P<name>\\\S+\s|(?<![\w$'])[A-Za-z_][\w$]*)"
)
_KEYWORDS = frozenset(
    re.findall(
        r"\w+",
        "always assign begin case casez default else end endcase endmodule if initial inout input "
        "integer localparam module negedge or output parameter posedge reg signed wire init",
    )
)
_INSTANCE = re.compile(
    r"^  (?P<module>\\\S+ |[A-Za-z_]\w*) (?:#\((?P<parameters>.*?)\) )? *(?:\\\S+ |\w+) \(",
    re.MULTILINE | re.DOTALL,
)
_PARAMETER = re.compile(r"\.(\w+)\((?:32'[sd]*)?(\d+)\)")
_DECLARATION = re.compile(r"^  (?:\(\*.*\*\) *)?(?:input|output|wire|reg|\(\*)")


@dataclass(frozen=True, kw_only=True)
class Memory:
    """One instance of the memory module."""

    width: int
    depth: int

    @property
    def bits(self) -> int:
        """Size in bits."""
        return self.width * self.depth

    @property
    def address_bits(self) -> int:
        """Bits of its addresses."""
        return max(1, (self.depth - 1).bit_length())


def escaped(name: str) -> str:
    """A name as Yosys wants it; Verilog wants a blank behind one that this changes."""
    return name if re.fullmatch(r"\w+", name) else f"\\{name}"


@dataclass(kw_only=True)
class VerilogModule:
    """One module: its ``text``, ``children`` (a name per instance) and ``memories``.

    ``digest`` is the same for modules that differ in identifiers only, children included.
    """

    name: str
    text: str
    children: list[str] = field(default_factory=list)
    memories: list[Memory] = field(default_factory=list)
    digest: str = ""


def read_modules(verilog: str) -> dict[str, VerilogModule]:
    """Modules of Verilog that Yosys wrote, the memory module excluded, in file order."""
    modules: dict[str, VerilogModule] = {}
    for match in re.finditer(r"^module (\\\S+ |\w+).*?^endmodule$", verilog, re.M | re.S):
        name = _plain(match[1])
        if name != MODULE:
            modules[name] = VerilogModule(name=name, text=match[0])
    for module in modules.values():
        for found in _INSTANCE.finditer(module.text):
            child = _plain(found["module"])
            if child == MODULE:
                sizes = {k: int(v) for k, v in _PARAMETER.findall(found["parameters"] or "")}
                module.memories.append(Memory(width=sizes["WIDTH"], depth=sizes["DEPTH"]))
            elif child in modules:
                module.children.append(child)
    names: dict[str, dict[str, str]] = {}
    for name in modules:
        _digest(modules, name, names)
    return modules


def _plain(name: str) -> str:
    return name.removeprefix("\\").rstrip()


def _digest(modules: dict[str, VerilogModule], name: str, names: dict[str, dict[str, str]]) -> None:
    """Set the module's digest, after those of its children; ``names`` keeps the renamings."""
    module = modules[name]
    if module.digest:
        return
    for child in module.children:
        _digest(modules, child, names)
    renamed: dict[str, str] = {}
    ports: dict[str, str] | None = None  # of the instance being read

    def canonical(match: re.Match[str]) -> str:
        word = match["name"]
        if word is None:
            return match[0]
        word = _plain(word)
        if word in modules and word != name:
            return modules[word].digest
        at = match.start()
        if ports is not None and at and match.string[at - 1] == ".":
            return ports.get(word, word) + " "
        if word in _KEYWORDS or (at and match.string[at - 1] == "$"):
            return word
        return renamed.setdefault(word, f"n{len(renamed)}") + " "

    header, _, body = module.text.partition(";\n")
    lines = body.split("\n")
    statements, declarations = [re.sub(r"\s+", " ", _TOKEN.sub(canonical, header))], []
    for line in lines:
        if _DECLARATION.match(line):
            declarations.append(line)
            continue
        instance = re.match(r"  (\\\S+|\w+)\s", line)
        if instance and (word := _plain(instance[1])) in (*modules, MODULE):
            ports = names.get(word, {})
        statements.append(_TOKEN.sub(canonical, line))
        if line == "  );":
            ports = None
    declared = sorted(_TOKEN.sub(canonical, line) for line in declarations)
    text = "\n".join(statements + declared)
    module.digest = "m" + hashlib.sha256(text.encode()).hexdigest()[:24]
    names[name] = renamed
