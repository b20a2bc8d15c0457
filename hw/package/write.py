"""The package folder of one configuration."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from golden.support.atomic_folder import AtomicFolder
from golden.support.command_line import version
from hw.config import Config
from hw.host.register_map import registers
from hw.lib.memory import MODULE, memory_verilog
from hw.package.bus_pins import CLOCK, top_pins
from hw.package.core import core_file, core_name
from hw.package.derive import c_header, html, ip_xact, require_peakrdl
from hw.package.headers import program_header
from hw.package.ipxact import component_xml
from hw.package.rdl import system_rdl
from hw.package.top import SUFFIX as TOP_SUFFIX
from hw.package.top import top_verilog
from hw.program.file import SUFFIX, to_bytes
from hw.program.program import Program
from hw.top.verilog import Design

MARKER = "potvit.core"
WAIVERS = Path(__file__).parents[1] / "top" / "verilator_waivers.vlt"
DRIVER = Path(__file__).parents[1] / "driver" / "c"
README = Path(__file__).with_name("readme.md")

#: What each file or folder is, for the package's README.
CONTENTS = {
    "rtl/": "the accelerator, its memory module, and the top with AXI's names",
    "potvit.core": "the package for FuseSoC",
    "component.xml": "the package in IP-XACT 1685-2009",
    "potvit.rdl": "the registers in SystemRDL",
    "potvit.json": "parameters, ports, registers, memories",
    "include/": "headers of driver, registers and program files",
    "driver/": "the driver in C99 and an example of its use",
    "docs/registers/": "the registers as pages: open `index.html`",
    "constraints/": "the clock, to be filled in",
    "lint/": "waivers for Verilator's `-Wall`",
    "programs/": "compiled networks",
}


def write_package(
    design: Design, config: Config, folder: Path, programs: Mapping[str, Program]
) -> list[Path]:
    """Write the package of ``design``, the Verilog of ``config``, to ``folder``.

    ``programs`` are compiled for ``config``, by file name. Returns the files, pages of registers
    aside. The folder appears complete or not at all, and replaces an older package.

    Raises:
        PotvitError: `peakrdl` is missing, the folder holds something else, a program is for
            another configuration.
    """
    require_peakrdl()
    for program in programs.values():
        program.check(config.digest)
    with AtomicFolder(folder, marker=MARKER) as work:
        _sources(work, design, config)
        for name, program in programs.items():
            place = work / "programs" / f"{name}{SUFFIX}"
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(to_bytes(program))
        _descriptions(work, design, config)
        _text(work / "README.md", _readme(work, design.description, config))
    return sorted(p for p in folder.rglob("*") if p.is_file() and "docs" not in p.parts)


def _text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _sources(work: Path, design: Design, config: Config) -> None:
    """RTL, driver, what goes with them."""
    name, memory = design.description["name"], memory_verilog()
    assert design.verilog.endswith(memory), "the memory module is the end of the Verilog"
    _text(work / "rtl" / f"{MODULE}.v", memory)
    _text(work / "rtl" / f"{name}.v", design.verilog.removesuffix(memory).rstrip() + "\n")
    pins = top_pins(design.description)
    _text(work / "rtl" / f"{name}{TOP_SUFFIX}.v", top_verilog(name, pins))
    _text(work / "lint" / WAIVERS.name, WAIVERS.read_text(encoding="utf-8"))
    _text(
        work / "constraints" / "potvit.sdc",
        f"# Fill in the period in ns; every other path starts and ends at a register of {CLOCK}.\n"
        f"create_clock -name {CLOCK} -period 4.000 [get_ports {CLOCK}]\n",
    )
    for source in sorted(DRIVER.iterdir()):
        to = "include" if source.suffix == ".h" else "driver"
        _text(work / to / source.name, source.read_text(encoding="utf-8"))
    _text(work / "include" / "potvit_program.h", program_header())


def _descriptions(work: Path, design: Design, config: Config) -> None:
    """What tools read: SystemRDL and what comes from it, IP-XACT, FuseSoC, JSON."""
    described = design.description
    title = f"PoTViT accelerator, configuration {config.name}"
    found = registers(config, list(described["counters"]))
    rdl = work / "potvit.rdl"
    _text(rdl, system_rdl(found, title))
    c_header(rdl, work / "include" / "potvit_registers.h")
    html(rdl, work / "docs" / "registers")
    with tempfile.TemporaryDirectory() as scratch:
        registers_file = Path(scratch) / "registers.xml"
        ip_xact(rdl, registers_file)
        register_part = registers_file.read_text(encoding="utf-8")
    top = f"{described['name']}{TOP_SUFFIX}"
    files = _listed(work, "rtl", "driver", "include")
    _text(work / "potvit.json", json.dumps(described, indent=1) + "\n")
    _text(
        work / "component.xml",
        component_xml(
            name=top, version=version(), title=title, pins=top_pins(described),
            registers=register_part, files=files, addr_bits=config.axi_addr_bits,
        ),
    )  # fmt: skip
    _text(work / MARKER, core_file(top, version(), title, files))


def _listed(work: Path, *folders: str) -> list[str]:
    """Files of ``folders`` as paths from the package, in order."""
    return [
        path.relative_to(work).as_posix()
        for folder in folders
        for path in sorted((work / folder).iterdir())
    ]


def _readme(work: Path, described: dict[str, Any], config: Config) -> str:
    """The README, filled in."""
    there = {name: text for name, text in CONTENTS.items() if (work / name).exists()}
    memories = described["memories"]
    top = f"{described['name']}{TOP_SUFFIX}"
    return Template(README.read_text(encoding="utf-8")).substitute(
        config=config.name,
        macs=config.macs,
        kib=f"{sum(memories.values()) / 1024:.0f}",
        bus=config.axi_bytes,
        data_bits=8 * config.axi_bytes,
        addr_bits=config.axi_addr_bits,
        id_bits=config.axi_id_bits,
        version=version(),
        top=top,
        vlnv=core_name(top, version()),
        memory=MODULE,
        digest=f"{config.digest:#010x}",
        files="\n".join(f"| `{name}` | {text} |" for name, text in there.items()),
        memories="\n".join(f"| {name} | {size:,} |" for name, size in memories.items()),
    )
