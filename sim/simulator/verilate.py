"""Verilator models, cached by content: Verilog in, a cocotb-ready simulator binary out."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cocotb_tools.config
from filelock import FileLock

from golden.support.compiler import NATIVE
from golden.support.environment import is_plain, require_plain
from golden.support.errors import PotvitError
from golden.support.kept import say_broken
from golden.support.locations import BUILD
from golden.support.progress import expecting
from golden.support.requirements import require
from sim.simulator import standing
from sim.simulator.build_progress import compiling
from sim.simulator.process import run_group
from sim.simulator.runtime import provide_runtime
from sim.simulator.toolchain import Verilator, driver, fingerprint, verilator

CACHE = BUILD / "verilated"
#: Folder of `CACHE` with what all models link.
RUNTIME = "runtime"
#: Name of the file beside a kept simulator with the digest that it had when it was built.
CHECKSUM = "sha256"
#: The wheel's own setting for precompiled headers breaks g++.
MAKE_VARIABLES = ("CFG_CXXFLAGS_PCH_I=-include", "OPT_FAST=-O2", "OPT_SLOW=-O0")
#: From so many characters of Verilog on, parts that stand still are skipped: smaller models gain
#: less than the longer compilation takes.
LARGE = 5_000_000
#: Characters of Verilog that become C++ in a second, until it is known better.
TRANSLATED = 150_000
#: By name: the wheel's makefile says ``c++`` and ``python``, which need not be there.
PROGRAMS = ("AR=ar", "CXX=g++", "LINK=g++", f"PYTHON3={sys.executable}")


@dataclass(frozen=True, kw_only=True)
class Simulator:
    """One compiled model: its folder (binary ``sim`` inside), top module, ability to trace.

    ``interpreter``: the command that runs the binary, if it is no program of its own.
    """

    folder: Path
    toplevel: str
    waves: bool
    cached: bool
    interpreter: tuple[str, ...] = ()

    @property
    def binary(self) -> Path:
        """The simulator executable."""
        return self.folder / "sim"


def verilate(
    sources: list[tuple[str, str]],
    toplevel: str,
    ports: list[str],
    *,
    waves: bool = False,
    hidden: str = "",
) -> Simulator:
    """Compile ``sources`` (file name, text) with top module ``toplevel`` for cocotb.

    Only ``ports`` of the top module are visible to cocotb: making every signal public costs a
    factor of seven in speed. With ``waves`` the model can write an FST, without the instances
    that match ``hidden`` (a scope with wildcards) and all below them. Parts of a `LARGE` model
    without waves are skipped while they stand still (`sim.simulator.standing`); it answers the same
    at every cycle. The result is cached under
    ``build/verilated`` by everything that goes in, compiler and processor included; a broken one is
    built again and standard error says so; concurrent callers wait for one another. Raises
    ``PotvitError`` for a missing tool, for one in a folder that make takes apart, or with the first
    error line of one that fails.
    """
    tool = verilator()
    require("simulation")
    if waves:
        require("waves")
    visible = "".join(f'public_flat_rw -module "{toplevel}" -var "{p}"\n' for p in sorted(ports))
    untraced = f'tracing_off -scope "{hidden}" -levels 0\n' if waves and hidden else ""
    control = f"`verilator_config\n{visible}{untraced}"
    flags = _flags(toplevel, waves=waves)
    material: tuple[object, ...] = (sources, control, flags, MAKE_VARIABLES, fingerprint(tool))
    skips = not waves and sum(len(text) for _, text in sources) >= LARGE
    if skips:
        material += (Path(standing.__file__).read_text(encoding="utf-8"),)
    digest = hashlib.sha256(repr(material).encode()).hexdigest()
    folder = CACHE / f"{toplevel}-{digest[:16]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE / f"{folder.name}.lock"):
        if cached := folder.exists() and _whole(folder):
            return Simulator(folder=folder, toplevel=toplevel, waves=waves, cached=cached)
        for tools in (Path(tool.command[0]), Path(cocotb_tools.config.libs_dir)):
            require_plain(tools)  # a checkout may have been moved after its set-up
        keep = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=CACHE)).resolve()
        # make takes a path with a blank apart.
        work = keep if is_plain(keep) else Path(tempfile.mkdtemp(prefix="potvit-")).resolve()
        try:
            files = [*sources, ("ports.vlt", control)]
            _compile(tool, flags, work / "work", files, skips=skips)
            shutil.move(work / "work" / "obj" / "sim", keep / "sim")
            (keep / CHECKSUM).write_text(_checksum(keep / "sim"))
            shutil.rmtree(work / "work")
            shutil.rmtree(folder, ignore_errors=True)
            keep.rename(folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)
            shutil.rmtree(keep, ignore_errors=True)
    return Simulator(folder=folder, toplevel=toplevel, waves=waves, cached=cached)


def _whole(folder: Path) -> bool:
    """Whether a kept simulator is the one that was built; standard error says if it is not."""
    binary = folder / "sim"
    try:
        if os.access(binary, os.X_OK) and (folder / CHECKSUM).read_text() == _checksum(binary):
            return True
    except (OSError, UnicodeDecodeError):
        pass
    say_broken(f"kept simulator {binary}")
    return False


def _checksum(binary: Path) -> str:
    return hashlib.sha256(binary.read_bytes()).hexdigest()


def _flags(toplevel: str, *, waves: bool) -> list[str]:
    libs = cocotb_tools.config.libs_dir
    return [
        "-cc", "--exe", "--vpi", "--timing", "-Wno-fatal", "-Wno-lint", "-Wno-style",
        "-O3", "--x-assign", "fast", "--x-initial", "unique", "--noassert",
        "--prefix", "Vtop", "--top-module", toplevel, "-o", "sim",
        "--timescale", "1ns/1ps", "--output-split", "20000",
        "-CFLAGS", f"{NATIVE} -std=gnu++20 -fcoroutines",
        "-LDFLAGS", f"-Wl,-rpath,{libs} -L{libs} -lcocotbvpi_verilator",
        *(["--trace-fst"] if waves else []),
    ]  # fmt: skip


def _compile(
    tool: Verilator, flags: list[str], work: Path, sources: list[tuple[str, str]], *, skips: bool
) -> None:
    names = []
    work.mkdir()
    for name, text in sources:
        (work / name).write_text(text, encoding="utf-8")
        names.append(str(work / name))
    obj = work / "obj"
    size = sum(len(text) for _, text in sources)
    with expecting("translating Verilog to C++", 1 + size / TRANSLATED):
        _run([*tool.command, *flags, "-Mdir", str(obj), str(driver()), *names], tool.env, work)
    if skips:
        standing.let_stand(obj)
    make = ["make", "-s", "-j", str(os.cpu_count() or 1), "-C", str(obj)]
    settings = [*MAKE_VARIABLES, *PROGRAMS]
    with compiling("compiling the simulator", obj) as watch:

        def run_make(arguments: list[str]) -> str:
            return _run([*make, *arguments, *settings], tool.env, work, watch)

        provide_runtime(obj, CACHE / RUNTIME, run_make, fingerprint(tool))
        run_make(["-f", "Vtop.mk"])


def _run(
    command: list[str], env: dict[str, str], work: Path, watch: Callable[[], None] | None = None
) -> str:
    """Run a tool; what it prints. ``PotvitError`` with its first error line if it fails."""
    pipe = subprocess.PIPE
    try:
        done = run_group(command, env=env, cwd=work, watch=watch, stdout=pipe, stderr=pipe)
    except FileNotFoundError as error:
        raise PotvitError(f"{command[0]} is missing: run `make setup`") from error
    if done.returncode:
        lines = (done.stdout + done.stderr).splitlines()
        worst = [x for x in lines if "rror" in x] or lines[-1:] or ["no output"]
        raise PotvitError(f"{Path(command[0]).name} failed: {worst[0].strip()}")
    return done.stdout
