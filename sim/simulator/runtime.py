"""Verilator's runtime library, compiled once for all models.

Every model links the same few objects (``verilated.o`` and others), whose compilation takes longer
than that of a small model. Verilator's makefile takes objects that are newer than itself as they
are, so what one build has made is put into the folder of the next.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from filelock import FileLock

from golden.support.kept import files_digest, say_broken

#: Name of the file beside kept objects with the digest that they had when they were made.
CHECKSUM = "sha256"
#: Makes the objects of Verilator's list, and nothing of the model.
_MAKEFILE, _GOAL = "runtime.mk", "runtime"
_RULE = f"include Vtop.mk\n.PHONY: {_GOAL}\n{_GOAL}: $(VK_GLOBAL_OBJS)\n"


def provide_runtime(
    obj: Path, kept: Path, make: Callable[[list[str]], str], fingerprint: Iterable[str]
) -> None:
    """Put the runtime's objects into ``obj``, where Verilator has left its makefile.

    ``make`` runs make there with more arguments and returns what it prints. Objects are kept in a
    folder of ``kept`` by the commands that compile them and by ``fingerprint``, the toolchain;
    others who want the same ones wait meanwhile. Broken ones are made again, and standard error
    says so.
    """
    (obj / _MAKEFILE).write_text(_RULE, encoding="utf-8")
    goal = ["-f", _MAKEFILE, _GOAL]
    material = [make([*goal, "-n"]), *fingerprint]
    folder = kept / hashlib.sha256("\0".join(material).encode()).hexdigest()[:16]
    kept.mkdir(parents=True, exist_ok=True)
    with FileLock(kept / f"{folder.name}.lock"):
        if not (folder.exists() and _whole(folder)):
            make(goal)
            _keep(sorted(obj.glob("*.o")), folder)
            return
        for path in folder.glob("*.o"):
            shutil.copyfile(path, obj / path.name)  # newer than the makefile


def _keep(objects: list[Path], folder: Path) -> None:
    """Copy ``objects`` to ``folder``, which appears complete or not at all."""
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for path in objects:
            shutil.copyfile(path, fresh / path.name)
        (fresh / CHECKSUM).write_text(files_digest(fresh.glob("*.o"), fresh))
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _whole(folder: Path) -> bool:
    """Whether kept objects are those that were made; standard error says if they are not."""
    try:
        if (folder / CHECKSUM).read_text() == files_digest(folder.glob("*.o"), folder):
            return True
    except (OSError, UnicodeDecodeError):
        pass
    say_broken(f"Verilator's runtime in {folder}")
    return False
