"""Reports that appear complete or not at all."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from golden.support.errors import PotvitError
from golden.support.locations import elsewhere
from golden.support.whole_file import write_whole


def require_writable(path: Path, what: str = "report") -> None:
    """Try the place of a report (or ``what`` it is) before the minutes of work that fill it.

    The folders above it are made.

    Raises:
        PotvitError: it is a folder, or no file can be made there.
    """
    if path.is_dir():
        raise PotvitError(f"{what} {path} is a folder: --out names a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        os.unlink(partial)
    except OSError as error:
        raise PotvitError(
            f"{what} {path} cannot be written ({error.strerror}): choose another place with --out"
        ) from None


def require_folder(folder: Path) -> None:
    """Try ``folder`` before the minutes of work whose files go there; nothing of it is left.

    A folder that does not exist yet is tried by the nearest one above it that does.

    Raises:
        PotvitError: it is a file, or no file can be made in it.
    """
    place = folder.absolute()
    try:
        while not place.exists():
            place = place.parent
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        reason = "it is a file" if folder.is_file() else error.strerror
        raise PotvitError(
            f"folder {folder} cannot be written ({reason}): choose another place with --out"
        ) from None


def write_json(path: Path, report: dict[str, Any]) -> None:
    """Write ``report`` to ``path`` as ``write_text`` does."""
    write_text(path, json.dumps(report, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path``, making the folders above it.

    Raises:
        PotvitError: the place cannot be written; an older report stays as it was.
    """
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise PotvitError(
            f"report {path} cannot be written ({error.strerror}){elsewhere(path)}"
        ) from None
