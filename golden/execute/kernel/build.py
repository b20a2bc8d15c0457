"""The shared library of the kernels, compiled for this machine and kept by what made it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

from filelock import FileLock

from golden.support.compiler import NATIVE, compiler_fingerprint
from golden.support.environment import tool_environment
from golden.support.errors import PotvitError
from golden.support.kept import say_broken
from golden.support.locations import BUILD
from golden.support.progress import expecting
from golden.support.requirements import require
from golden.support.whole_file import write_whole

CACHE = BUILD / "kernels"
SOURCES = tuple(sorted(Path(__file__).with_name("source").iterdir()))
#: No option may change what floats are: every value is exact, and stays so.
FLAGS = (
    "-std=c++17", "-O3", NATIVE, "-fPIC", "-shared", "-fno-math-errno", "-fno-trapping-math",
    "-ffp-contract=off",
)  # fmt: skip


def library_file() -> Path:
    """The compiled library, made if it is not kept already; a broken one is made again.

    It is kept by the sources, the options, the compiler and the processor's instructions;
    concurrent callers wait for one another.

    Raises:
        PotvitError: there is no compiler, it fails, or the cache cannot be written.
    """
    require("kernels")
    digest = hashlib.sha256(repr((FLAGS, compiler_fingerprint())).encode())
    for source in SOURCES:
        digest.update(f"{source.name}\0".encode() + source.read_bytes())
    name = digest.hexdigest()[:16]
    made, checksum = CACHE / f"{name}.so", CACHE / f"{name}.sha256"
    try:
        CACHE.mkdir(parents=True, exist_ok=True)
        with FileLock(CACHE / f"{name}.lock"):
            if not (made.exists() and _whole(made, checksum)):
                content = _compiled()
                write_whole(checksum, hashlib.sha256(content).hexdigest().encode())
                write_whole(made, content)
    except OSError as error:
        raise PotvitError(f"{CACHE} cannot be written ({error.strerror})") from None
    return made.absolute()


def _whole(made: Path, checksum: Path) -> bool:
    """Whether a kept library is the one that was compiled; standard error says if it is not."""
    try:
        if checksum.read_text() == hashlib.sha256(made.read_bytes()).hexdigest():
            return True
    except (OSError, UnicodeDecodeError):
        pass
    say_broken(f"kept library {made}")
    return False


def _compiled() -> bytes:
    """The library's bytes."""
    sources = [str(source) for source in SOURCES if source.suffix == ".cpp"]
    with tempfile.TemporaryDirectory(prefix="potvit-") as scratch:
        made = Path(scratch) / "kernels.so"
        command = ["g++", *FLAGS, *sources, "-o", str(made)]
        with expecting("compiling the executor's kernels", 8):
            done = subprocess.run(
                command,
                env=tool_environment(LC_ALL="C"),
                capture_output=True,
                text=True,
                check=False,
            )
        if done.returncode:
            lines = [x for x in done.stderr.splitlines() if "error" in x] or ["no output"]
            raise PotvitError(f"g++ failed: {os.path.basename(lines[0].strip())}")
        return made.read_bytes()
