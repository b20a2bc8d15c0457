"""What the project needs from the machine, in one table.

pip brings the pinned packages into ``.venv``; everything else is a row of `REQUIREMENTS`. The
set-up, the simulator's checks, the tests that skip, ``make doctor`` and the README's table all read
it. This module runs on the standard library alone, because the set-up uses it before anything is
installed.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from golden.support.environment import tool_environment
from golden.support.errors import PotvitError


@dataclass(frozen=True, kw_only=True)
class Capability:
    """Something the project can do if the machine has the rows that name it."""

    targets: str  #: the make targets, as a reader would write them
    required: bool  #: without it the project is of no use; an optional one is left out


CAPABILITIES = {
    "set-up": Capability(targets="every target", required=True),
    "simulation": Capability(
        targets="make sim, classify, fuzz, test, explore CONFIRM=1", required=True
    ),
    "kernels": Capability(targets="make eval, bench, train, sim (faster)", required=False),
    "waves": Capability(targets="make sim WAVES=1 or all", required=False),
    "four states": Capability(targets="make sim SIMULATOR=icarus", required=False),
    "silicon timing": Capability(targets="make synth TARGET=asic", required=False),
}


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """One thing the system supplies.

    ``probe`` says whether it is there; None if that cannot be told before the set-up.
    """

    name: str
    package: str  #: the Debian package that has it
    capability: str  #: a key of `CAPABILITIES`
    probe: Callable[[], bool | None]

    @property
    def required(self) -> bool:
        """Whether the project is of no use without it."""
        return CAPABILITIES[self.capability].required

    def message(self) -> str:
        """The line for a machine without it."""
        return (
            f"{self.name} is missing: install it (Debian package: {self.package}); "
            f"needed for {self.capability} ({CAPABILITIES[self.capability].targets})"
        )


def _program(name: str) -> Callable[[], bool]:
    return lambda: shutil.which(name) is not None


def _module(name: str) -> Callable[[], bool]:
    return lambda: importlib.util.find_spec(name) is not None


def _perl_module(name: str) -> Callable[[], bool]:
    return lambda: _succeeds("perl", f"-M{name}", "-e", "1")


def _header(name: str, *options: str) -> Callable[[], bool]:
    return lambda: _succeeds("g++", "-E", *options, "-x", "c++", "-include", name, os.devnull)


def _succeeds(*command: str) -> bool:
    """Whether ``command`` ends with status 0; asked once for each search path."""
    paths = tuple(os.environ.get(name) for name in ("PATH", "CPATH", "CPLUS_INCLUDE_PATH"))
    return _answer(command, paths)


@cache
def _answer(command: tuple[str, ...], _: tuple[str | None, ...]) -> bool:
    try:
        done = subprocess.run(command, env=tool_environment(), capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


def _shared_python() -> bool | None:
    """The simulator loads Python as a shared library; its finder comes with the set-up."""
    if importlib.util.find_spec("find_libpython") is None:
        return None
    import find_libpython

    return find_libpython.find_libpython() is not None


_PYTHON = f"python{sys.version_info[0]}.{sys.version_info[1]}"

REQUIREMENTS = (
    Requirement(name="Python 3.11 or newer", package="python3", capability="set-up",
                probe=lambda: sys.version_info >= (3, 11)),
    Requirement(name="Python's venv module", package=f"{_PYTHON}-venv", capability="set-up",
                probe=_module("venv")),
    Requirement(name="Python's ensurepip module", package=f"{_PYTHON}-venv", capability="set-up",
                probe=_module("ensurepip")),
    Requirement(name="make", package="make", capability="simulation", probe=_program("make")),
    Requirement(name="g++", package="g++", capability="simulation", probe=_program("g++")),
    Requirement(name="C++ header coroutine (g++ 10 or newer)", package="g++",
                capability="simulation", probe=_header("coroutine", "-std=gnu++20")),
    Requirement(name="perl", package="perl", capability="simulation", probe=_program("perl")),
    Requirement(name="Perl module Pod::Usage", package="perl", capability="simulation",
                probe=_perl_module("Pod::Usage")),
    Requirement(name="libpython, Python as a shared library", package=f"lib{_PYTHON}",
                capability="simulation", probe=_shared_python),
    Requirement(name="g++", package="g++", capability="kernels", probe=_program("g++")),
    Requirement(name="zlib.h", package="zlib1g-dev", capability="waves", probe=_header("zlib.h")),
    Requirement(name="lz4.h", package="liblz4-dev", capability="waves", probe=_header("lz4.h")),
    Requirement(name="iverilog", package="iverilog", capability="four states",
                probe=_program("iverilog")),
    Requirement(name="vvp", package="iverilog", capability="four states", probe=_program("vvp")),
    Requirement(name="sta", package="opensta", capability="silicon timing",
                probe=_program("sta")),
)  # fmt: skip


def missing(capability: str) -> str | None:
    """The line about the first thing that ``capability`` lacks here; None if it lacks nothing."""
    rows = [row for row in REQUIREMENTS if row.capability == capability]
    assert rows, capability
    return next((row.message() for row in rows if row.probe() is False), None)


def require(capability: str) -> None:
    """Raise ``PotvitError`` with the line about the first thing that ``capability`` lacks here."""
    if line := missing(capability):
        raise PotvitError(line)
