"""Areas of units in library cells: NAND2 equivalents, or square microns of a user's Liberty."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from golden.support.errors import PotvitError
from hw.lib.memory import MODULE
from synth.cells import check_liberty, liberty_text
from synth.hierarchy import VerilogModule, escaped
from synth.units import INVERTED_OPERAND_BITS, Part
from synth.work import in_parallel, remembered
from synth.yosys import run_script, tool_version

TECHMAP = Path(__file__).with_name("techmap")
SHELL = "potvit_inverting_shell"

#: Area-driven logic optimisation. The library has no delays, so ABC's own script would not do.
ABC = "+strash;ifraig;scorr;dc2;dc2;dch,-f;amap,-m;topo"

#: A unit as plain logic with its sums in the open, before cells are chosen. Reset values at
#: power-up are for FPGAs and simulation; here a register is what its reset says.
PREPARE = """\
hierarchy -top {top}
proc -norom
flatten
setattr -unset init w:*
opt -full
peepopt
opt_clean
wreduce
share -aggressive
opt -full
alumacc
opt -fast
"""

# An adder bit of which one output is unused must not become a full adder: `used` is every wire
# that something reads.
_SCRIPT = (
    """\
read_verilog -lib adder_bit.v
read_liberty -lib -ignore_miss_func cells.lib
read_verilog -lib boxes.v
read_verilog design.v
"""
    + PREPARE
    + """\
techmap -map dot_products.v
opt -fast -full
techmap -map adders.v
opt -fast -full
splitnets -ports
opt_clean
cd {top}
select -set used t:* o:* %u %ci1 w:* %i o:* %u
select -set no_sum t:POTVIT_ADD @used %ci1:+POTVIT_ADD[S] t:POTVIT_ADD %i %d
select -set no_carry t:POTVIT_ADD @used %ci1:+POTVIT_ADD[CO] t:POTVIT_ADD %i %d
chtype -set POTVIT_SUM @no_carry
chtype -set POTVIT_CARRY @no_sum
cd
techmap -map adder_cells.v{gates}
opt -fast -full
techmap
opt -fast -full
dfflibmap -prepare -liberty cells.lib
opt -fast -full -nodffe -nosdff
clean -purge
dfflibmap -map-only -liberty cells.lib
abc -liberty cells.lib -script "{abc}"
opt_clean -purge
tee -o stat.json stat -json -liberty cells.lib
"""
)


@dataclass(frozen=True, kw_only=True)
class Library:
    """Cells to map to: Liberty ``text``, ``area_unit``, ``nand2`` its area or None if unknown."""

    text: str
    area_unit: str
    nand2: float | None
    generic: bool


@dataclass(frozen=True, kw_only=True)
class Area:
    """Area of one module, in the library's unit; ``sequential`` is the flip-flops' share of it."""

    area: float
    sequential: float
    cells: dict[str, int]


def library(path: Path | None) -> Library:
    """The generic library, or the one in the Liberty file ``path``.

    Raises:
        PotvitError: see `check_liberty`.
    """
    if path is None:
        return Library(text=liberty_text(), area_unit="NAND2", nand2=1.0, generic=True)
    return Library(
        text=(text := check_liberty(path)), area_unit="um2", nand2=_nand2(text), generic=False
    )


def _nand2(text: str) -> float | None:
    """Area of the smallest two-input NAND."""
    areas = []
    for body in re.split(r"\bcell\s*\(", text)[1:]:
        functions = [re.sub(r"[\s()]", "", f) for f in re.findall(r'function\s*:\s*"(.*?)"', body)]
        area = re.search(r"\barea\s*:\s*([\d.]+)", body)
        nand = len(functions) == 1 and re.fullmatch(r"!\w+[&*]\w+|\w+[&*]\w+'", functions[0])
        if area and nand and re.search(r'function\s*:\s*"\s*\(?\s*(!\s*\(|\(.*\)\s*\')', body):
            areas.append(float(area[1]))
    return min((a for a in areas if a > 0), default=None)


def black_box(module: VerilogModule) -> str:
    """The ports of ``module`` and nothing inside."""
    header, ports = _ports(module)
    return "\n".join(["(* blackbox *)", f"{header};", *ports, "endmodule\n"])


def inverting_shell(module: VerilogModule, shell: str) -> str:
    """A module ``shell`` with the ports of ``module``, operands inverted, around an instance of it.

    See `synth.units.INVERTED_OPERAND_BITS`.
    """
    header, ports = _ports(module)
    names = [(kind, port) for line in ports for kind, port in _PORT.findall(line)]
    widths = {port: _width(line) for line in ports for _, port in _PORT.findall(line)}
    inner = re.match(r"module (\\\S+ |\w+)", header)
    assert inner is not None
    bits = range(2, INVERTED_OPERAND_BITS + 1)
    pins = [
        f".{port} ({'~' if kind == 'input' and widths[port] in bits else ''}{port} )"
        for kind, port in names
    ]
    header = header.replace(inner[1], f"{shell} ", 1)
    instance = f"  {inner[1]} inner ({', '.join(pins)});"
    return "\n".join([f"{header};", *ports, instance, "endmodule\n"])


_PORT = re.compile(r"^  (input|output) (?:\[[^\]]*\] )?(\\\S+|\w+)", re.MULTILINE)


def _ports(module: VerilogModule) -> tuple[str, list[str]]:
    """Header without its semicolon, and the lines that declare ports."""
    header = module.text.partition(";\n")[0]
    return header, re.findall(r"^  (?:input|output) .*$", module.text, re.MULTILINE)


def _width(line: str) -> int:
    found = re.search(r"\[(\d+):0\]", line)
    return int(found[1]) + 1 if found else 1


def memory_box(source: str) -> str:
    """The memory module of Verilog ``source`` as a black box with its parameters."""
    found = re.search(rf"module {MODULE} #\(.*?\n\);", source, re.DOTALL)
    if found is None:
        raise PotvitError(f"the generated Verilog has no module {MODULE}")
    return f"(* blackbox *)\n{found[0].replace('output reg', 'output')}\nendmodule\n"


def areas(
    parts: Iterable[Part], verilog: str, lib: Library, *, jobs: int = 2, label: str = "synth"
) -> list[Area]:
    """Area of each part, from the cache where its contents were synthesized before.

    ``jobs`` Yosys processes run at a time.

    Raises:
        PotvitError: Yosys fails, or leaves something that is no library cell.
    """
    memory = memory_box(verilog)
    return in_parallel(lambda part: _area(part, memory, lib), list(parts), jobs=jobs, label=label)


def mapping_script(top: str, lib: Library) -> tuple[str, dict[str, str]]:
    """Yosys script that maps module ``top`` of ``design.v``, with black boxes ``boxes.v``.

    Also the other files it reads. ``top`` is as in Verilog, a backslash before an escaped name.
    """
    script = _SCRIPT.format(top=top, abc=ABC, gates="" if lib.generic else " -D GATES")
    maps = {path.name: path.read_text(encoding="utf-8") for path in sorted(TECHMAP.glob("*.v"))}
    return script, {"cells.lib": lib.text, **maps}


def _area(part: Part, memory: str, lib: Library) -> Area:
    top, modules, boxes = part.top, [module.text for module in part.modules], []
    if part.inverted:
        modules.append(inverting_shell(part.modules[0], top := SHELL))
    for i, box in enumerate(part.boxes):
        text = black_box(box)
        if box.name in part.inverted_boxes:
            # The instance finds the shell under the module's name, and that another name.
            inner = VerilogModule(name=f"box_{i}", text=_renamed(box.text, f"box_{i}"))
            modules.append(inverting_shell(inner, f"\\{box.name}"))
            text = black_box(inner)
        boxes.append(text)
    script, files = mapping_script(escaped(top), lib)
    files["boxes.v"] = memory + "".join(boxes)
    files["design.v"] = "\n\n".join(modules) + "\n"

    def make() -> dict[str, Any]:
        stat = run_script(script, files, f"unit {part.name}")
        return asdict(read_stat(stat, lib, f"unit {part.name}"))

    # By digest: the text of equal modules differs in names.
    maps = [text for name, text in files.items() if name not in ("boxes.v", "design.v")]
    return Area(**remembered([part.digest, _SCRIPT, ABC, tool_version(), *maps], make))


def _renamed(text: str, name: str) -> str:
    return re.sub(r"^module (\\\S+ |\w+)", f"module {name} ", text, count=1)


def read_stat(stat: dict[str, Any], lib: Library, what: str) -> Area:
    """Area in the ``stat -json -liberty`` of a flat module; black boxes have none.

    Raises:
        PotvitError: something was mapped to no library cell.
    """
    design = stat["design"]
    found = design["num_cells_by_type"]
    strange = [name for name in found if re.match(r"\$(?!paramod)|POTVIT", name)]
    if strange:
        raise PotvitError(f"{what}: the library has no cell for {', '.join(sorted(strange))}")
    known = set(re.findall(r"\bcell\s*\(\s*\"?([^\s\")]+)", lib.text))
    return Area(
        area=design.get("area", 0.0),
        sequential=design.get("sequential_area", 0.0),
        cells={name: count for name, count in found.items() if name in known},
    )
