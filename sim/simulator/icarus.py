"""Icarus Verilog models: the same Verilog with four states, and nothing that starts defined.

Verilator knows 0 and 1. Icarus starts every register and every memory at X, and an X spreads to
whatever depends on it: a run that ends with the right logits has used no word before writing it.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import cocotb_tools.config
from filelock import FileLock

from golden.support.environment import tool_environment
from golden.support.errors import PotvitError
from golden.support.locations import BUILD
from golden.support.requirements import require
from sim.simulator.process import run_group
from sim.simulator.verilate import Simulator

CACHE = BUILD / "icarus"

#: ``reg [7:0] name = 8'h00;``: what an FPGA would load, and an ASIC has not.
_INITIAL = re.compile(
    r"^(\s*reg (?:signed )?(?:\[[^\]]*\] )?(?:\\\S+ |\w+)) ?= [^;]*;", re.MULTILINE
)


def without_initial_values(verilog: str) -> str:
    """``verilog`` with registers that start undefined, as they do on an ASIC."""
    text, count = _INITIAL.subn(r"\1;", verilog)
    if not count:
        raise ValueError("the Verilog has no register with an initial value")
    return text


def elaborate(sources: list[tuple[str, str]], toplevel: str) -> Simulator:
    """Compile ``sources`` (file name, text) with top module ``toplevel`` for cocotb.

    The result is cached under ``build/icarus`` by everything that goes in. Raises ``PotvitError``
    if Icarus Verilog is missing, or with the first error that it finds.
    """
    require("simulation")
    require("four states")
    material = (sources, _release())
    digest = hashlib.sha256(repr(material).encode()).hexdigest()
    folder = CACHE / f"{toplevel}-{digest[:16]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE / f"{folder.name}.lock"):
        if not (cached := (folder / "sim").exists()):
            work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=CACHE)).resolve()
            try:
                _compile(sources, toplevel, work)
                shutil.rmtree(folder, ignore_errors=True)
                work.rename(folder)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    return Simulator(
        folder=folder, toplevel=toplevel, waves=False, cached=cached,
        interpreter=("vvp", "-m", cocotb_tools.config.lib_entry("vpi", "icarus")),
    )  # fmt: skip


def _release() -> str:
    asked = subprocess.run(
        ["iverilog", "-V"], env=tool_environment(), capture_output=True, text=True, check=False
    )
    return asked.stdout.partition("\n")[0]


def _compile(sources: list[tuple[str, str]], toplevel: str, work: Path) -> None:
    (work / "cmds.f").write_text("+timescale+1ns/1ps\n")
    for name, text in sources:
        (work / name).write_text(text, encoding="utf-8")
    command = ["iverilog", "-g2012", "-s", toplevel, "-f", "cmds.f", "-o", "sim"]
    done = run_group(
        [*command, *(name for name, _ in sources)], cwd=work, env=tool_environment(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    if done.returncode:
        lines = (done.stdout + done.stderr).splitlines() or ["no output"]
        worst = [line for line in lines if "error" in line] or lines
        raise PotvitError(f"iverilog failed: {worst[0].strip()}")
