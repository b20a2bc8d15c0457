"""Verilog of the accelerator and the description that goes with it."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, fields
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from amaranth.hdl import Shape
from amaranth.lib.wiring import Out

from golden.support.errors import PotvitError
from golden.support.progress import expecting
from golden.support.whole_file import write_whole
from hw.config import Config
from hw.formats.memories import memory_bytes
from hw.host.register_map import COUNTERS
from hw.host.register_page import as_json, as_markdown
from hw.lib.convert import to_verilog
from hw.lib.memory import MODULE, VerilogTarget, memory_verilog
from hw.top.accelerator import Potvit

PREFIX = "potvit"

#: A counter of one value has no bits; Amaranth declares it all the same, and nothing uses it.
_NO_BITS = re.compile(r"^ +(?:wire|reg) \[-1:0\] [^;=]*;\n", re.MULTILINE)
#: Seconds of a first generation, and MACs that take another second: only a bar depends on it.
GUESS, GUESS_MACS = 8, 40


def top_name(config: Config) -> str:
    """Verilog name of the accelerator of ``config``: every module's name begins with it.

    So two configurations fit in one design.
    """
    return f"{PREFIX}_{re.sub(r'[^0-9A-Za-z_]', '_', config.name)}"


@dataclass(frozen=True, kw_only=True)
class Design:
    """What is generated: Verilog, its description, and the registers as a page of Markdown.

    ``verilog`` includes the memory module; `describe` says what ``description`` holds.
    """

    verilog: str
    description: dict[str, Any]
    register_table: str


@cache
def generate(config: Config) -> Design:
    """Verilog of ``config``, the same text for the same sources and configuration."""
    top = Potvit(config)
    with expecting(f"generating {config.name}", GUESS + config.macs / GUESS_MACS):
        text = to_verilog(top, top_name(config), VerilogTarget())
    text = f"{_NO_BITS.sub('', text).rstrip()}\n\n{memory_verilog()}"
    return Design(
        verilog=text, description=describe(top, text), register_table=as_markdown(top.map)
    )


def describe(top: Potvit, text: str) -> dict[str, Any]:
    """What a host, a compiler or an integrator needs to know, JSON-ready.

    ``config`` (parameters), ``derived`` (widths), ``ports``, ``registers``, ``counters`` (name to
    byte offset of the 64-bit value), ``memories`` (bytes) and ``sha256`` of the Verilog.
    """
    config = top.config
    ports = [{"name": name, "width": 1, "direction": "input"} for name in ("clk", "rst")]
    for name, member in top.signature.members.items():
        width = Shape.cast(member.shape).width
        direction = "output" if member.flow == Out else "input"
        ports.append({"name": name, "width": width, "direction": direction})
    derived = ("act_bytes", "stream_bytes", "const_bytes", "norm_bytes", "param_words",
               "tile_act_granules", "keys_per_cycle", "macs", "addr_bits")  # fmt: skip
    return {
        "name": top_name(config),
        "memory_module": MODULE,
        "config": {f.name: _plain(getattr(config, f.name)) for f in fields(config)},
        "derived": {name: getattr(config, name) for name in derived},
        "ports": ports,
        "registers": as_json(top.map),
        "counters": {name: COUNTERS + 8 * i for i, name in enumerate(top.counters)},
        "memories": memory_bytes(config),
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def write(design: Design, folder: Path) -> list[Path]:
    """Write ``potvit.v``, ``potvit.json``, ``registers.md`` into ``folder``, each all or nothing.

    Raises ``PotvitError`` if ``folder`` is a file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise PotvitError(f"{folder} is a file; choose a folder for the Verilog") from None
    texts = {
        "potvit.v": design.verilog,
        "potvit.json": json.dumps(design.description, indent=1) + "\n",
        "registers.md": design.register_table,
    }
    written = []
    for name, text in texts.items():
        write_whole(folder / name, text.encode())
        written.append(folder / name)
    return written
