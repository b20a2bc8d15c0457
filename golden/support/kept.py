"""Results kept on disk by a digest of everything that made them.

A kept file holds its result beside the result's own digest, so that an emptied, cut or altered one
is told from a good one: it is made again, and standard error says so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from golden.support.notes import note
from golden.support.report_file import write_json


def files_digest(files: Iterable[Path], root: Path) -> str:
    """Digest of the paths below ``root`` and the contents of ``files``, whatever their order."""
    digest = hashlib.sha256()
    for path in sorted(files):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(root)}\0{content}\n".encode())
    return digest.hexdigest()


def say_broken(what: object) -> None:
    """Tell the user that something kept could not be used and is made again."""
    note(f"{what} is broken: it is made again")


def read_kept(path: Path) -> Any:
    """What `write_kept` left at ``path``; None if nothing is there, or (said) a broken file."""
    if not path.exists():
        return None
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
        if entry["sha256"] == _digest(entry["result"]):
            return entry["result"]
    except (OSError, ValueError, TypeError, KeyError):
        pass
    say_broken(f"kept file {path}")
    return None


def write_kept(path: Path, result: Any) -> None:
    """Keep ``result`` (what JSON has, not None) at ``path``.

    Raises:
        PotvitError: the place cannot be written.
    """
    write_json(path, {"sha256": _digest(result), "result": result})


def _digest(result: Any) -> str:
    # As JSON gives it back: tuples are lists there, and keys are text.
    return hashlib.sha256(json.dumps(result).encode()).hexdigest()
