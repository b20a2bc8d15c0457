"""A file that appears complete or not at all."""

import os
import tempfile
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``, making the folders above it.

    It is written beside ``path`` and moved there, so a file already there stays as it was unless
    all of the new one is on the disk.

    Raises:
        OSError: the place cannot be written; nothing of it is left.
    """
    partial = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    finally:
        if partial is not None and os.path.exists(partial):
            os.unlink(partial)
