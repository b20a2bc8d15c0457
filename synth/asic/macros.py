"""SRAM macros of a library, and the memories of the design tiled from them.

A memory becomes columns and rows of one macro with two ports, one of which reads and one writes;
a row of macros is chosen by the high bits of the address, and behind the macros by the same bits a
cycle later. Memories that are smaller as flip-flops become flip-flops.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from golden.support.errors import PotvitError
from hw.lib.memory import MODULE, memory_verilog
from synth.asic.corners import files_by_corner, has_memory, read_text
from synth.cells import cell_bodies
from synth.hierarchy import Memory

#: Area of a bit in flip-flops, with its share of the multiplexers, in flip-flops.
FLIP_FLOP_BIT = 1.4

# What a pin is for, by its name after the prefix of its port; all others are quiet.
_WRITE = {"CLK": "clk", "ADDR": "{addr}", "DIN": "{data}", "BM": "{ones}", "MEN": "{enable}",
          "WEN": "{enable}", "REN": "1'b0", "DLY": "1'b1"}  # fmt: skip
_READ = {"CLK": "clk", "ADDR": "{addr}", "DOUT": "{data}", "MEN": "{enable}", "REN": "{enable}",
         "WEN": "1'b0", "DLY": "1'b1"}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Macro:
    """A dual-port SRAM: ``depth`` words of ``width`` bits, ``area`` in um2, ``pins`` to width.

    ``liberty`` is the typical file that it is in.
    """

    name: str
    liberty: Path
    width: int
    depth: int
    area: float
    pins: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """``memory`` of ``columns`` x ``rows`` macros, or of flip-flops where ``macro`` is None."""

    memory: Memory
    macro: Macro | None
    columns: int
    rows: int

    @property
    def area(self) -> float:
        """Of the macros, in um2."""
        return self.columns * self.rows * self.macro.area if self.macro else 0.0


def module_name(memory: Memory) -> str:
    """Of the Verilog module of a memory."""
    return f"{MODULE}_{memory.width}x{memory.depth}"


def module_header(memory: Memory) -> str:
    """Its first line, with the ports."""
    address = memory.address_bits - 1
    return (
        f"module {module_name(memory)} (input clk, rd_en, wr_en, "
        f"input [{address}:0] rd_addr, wr_addr, input [{memory.width - 1}:0] wr_data, "
        f"output [{memory.width - 1}:0] rd_data);"
    )


def read_macros(path: Path) -> tuple[dict[str, list[Path]], list[Macro]]:
    """Files by corner and the dual-port macros in them, as the typical ones say.

    Raises:
        PotvitError: no such folder, or a file of it cannot be read.
    """
    files = {
        corner: [file for file in found if has_memory(read_text(file))]
        for corner, found in files_by_corner(path, "macros").items()
    }
    macros = [
        macro
        for file in files["typ"]
        for name, body in cell_bodies(read_text(file)).items()
        if (macro := _macro(name, file, body)) is not None
    ]
    return files, macros


def _macro(name: str, liberty: Path, body: str) -> Macro | None:
    """The macro of a cell if it has two ports."""
    shape = {key: re.search(rf"\b{key}\s*:\s*([\d.]+)", body)
             for key in ("area", "address_width", "word_width")}  # fmt: skip
    pins: dict[str, int] = {}
    for found in re.finditer(r"\bpin\s*\(\s*\"?(\w+)(?:\[(\d+)(?::(\d+))?\])?\"?\s*\)", body):
        pins[found[1]] = max(pins.get(found[1], 0), int(found[2] or 0) + 1)
    if not all(shape.values()) or not {"A_DIN", "A_ADDR", "B_DOUT", "B_ADDR"} <= pins.keys():
        return None
    area, address, width = (float(found[1]) for found in shape.values() if found)
    return Macro(
        name=name, liberty=liberty, width=int(width), depth=1 << int(address), area=area, pins=pins
    )


def tile(memory: Memory, macros: list[Macro], flip_flop: float) -> Tiling:
    """The smallest way to make ``memory``; ``flip_flop`` is the area of one.

    Raises:
        PotvitError: no macro can be part of it.
    """
    if not macros:
        raise PotvitError(
            f"no macro can make a memory {memory.width} bits wide: none has two ports, with A_ and "
            "B_ in front of their pins"
        )
    choices = [
        Tiling(
            memory=memory, macro=macro,
            columns=-(-memory.width // macro.width), rows=-(-memory.depth // macro.depth),
        )
        for macro in macros
    ]  # fmt: skip
    best = min(choices, key=lambda tiling: tiling.area)
    if memory.bits * flip_flop * FLIP_FLOP_BIT < best.area:
        return Tiling(memory=memory, macro=None, columns=0, rows=0)
    return best


def memory_module(tiling: Tiling) -> str:
    """Verilog of the memory: macros, or words in flip-flops."""
    memory, macro = tiling.memory, tiling.macro
    if macro is None:
        text = memory_verilog()
        text = re.sub(rf"module {MODULE}\b", f"module {module_name(memory)}", text)
        text = re.sub(r"parameter WIDTH = \d+", f"parameter WIDTH = {memory.width}", text)
        text = re.sub(r"parameter DEPTH = \d+", f"parameter DEPTH = {memory.depth}", text)
        return re.sub(r"`\w+.*\n", "", text)
    address, inner = memory.address_bits, (macro.depth - 1).bit_length()
    below = min(inner, address)
    lines = [
        module_header(memory),
        f"  wire [{tiling.columns * macro.width - 1}:0] given = wr_data;",
        f"  wire [{inner - 1}:0] rd_below = rd_addr[{below - 1}:0];",
        f"  wire [{inner - 1}:0] wr_below = wr_addr[{below - 1}:0];",
    ]
    for row in range(tiling.rows):
        lines.append(f"  wire [{tiling.columns * macro.width - 1}:0] taken{row};")
        for port in ("rd", "wr"):
            high = f" && {port}_addr[{address - 1}:{inner}] == {row}" if tiling.rows > 1 else ""
            lines.append(f"  wire {port}_here{row} = {port}_en{high};")
        for column in range(tiling.columns):
            bits = f"[{(column + 1) * macro.width - 1}:{column * macro.width}]"
            lines.append(f"  {macro.name} m{row}_{column} ({_pins(macro, row, bits)});")
    if tiling.rows == 1:
        lines.append("  assign rd_data = taken0;")
    else:
        taken = ", ".join(f"taken{row}" for row in reversed(range(tiling.rows)))
        width = tiling.columns * macro.width
        lines += [
            f"  reg [{address - inner - 1}:0] row;",
            f"  always @(posedge clk) if (rd_en) row <= rd_addr[{address - 1}:{inner}];",
            f"  wire [{tiling.rows * width - 1}:0] all = {{{taken}}};",
            f"  assign rd_data = all[row * {width} +: {memory.width}];",
        ]
    return "\n".join([*lines, "endmodule\n"])


def _pins(macro: Macro, row: int, bits: str) -> str:
    """Connections of one macro: port A writes, port B reads."""
    connected = []
    for pin, width in macro.pins.items():
        port, _, role = pin.partition("_")
        words = {
            "ones": f"{{{width}{{1'b1}}}}",
            "addr": "wr_below" if port == "A" else "rd_below",
            "data": f"given{bits}" if port == "A" else f"taken{row}{bits}",
            "enable": f"wr_here{row}" if port == "A" else f"rd_here{row}",
        }
        roles = {"A": _WRITE, "B": _READ}.get(port, {})
        if role in roles:
            connected.append(f".{pin}({roles[role].format(**words)})")
        elif not role.endswith("DOUT"):
            connected.append(f".{pin}({width}'d0)")
    return ", ".join(connected)
