"""The C++ compiler, and all of it that can change a binary of the same sources and options."""

from __future__ import annotations

import os
import subprocess
from functools import cache

from golden.support.environment import tool_environment

#: What is compiled is for the machine that runs it.
NATIVE = "-march=native"
#: Where compilers look for headers and libraries besides their own places.
SEARCHED = ("CPATH", "CPLUS_INCLUDE_PATH", "LIBRARY_PATH")


def compiler_fingerprint() -> list[str]:
    """Release, target and options of the first ``g++``, and the places that it searches besides.

    The options name the instructions that it takes ``-march=native`` for on this machine.
    """
    paths = [f"{name}={value}" for name in SEARCHED if (value := os.environ.get(name))]
    return [_compiler(os.environ.get("PATH", "")), *paths]


@cache
def _compiler(path: str) -> str:
    """Release, target and resolved options of the ``g++`` that is first on ``path``."""
    asked = subprocess.run(
        ["g++", NATIVE, "-###", "-E", "-x", "c++", os.devnull],
        env=tool_environment(LC_ALL="C", PATH=path), capture_output=True, text=True, check=False,
    )  # fmt: skip
    return asked.stderr
