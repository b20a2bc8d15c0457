"""JSON reports that appear complete or not at all."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from golden.errors import PotvitError


def write_json(path: Path, report: dict[str, Any]) -> None:
    """Write ``report`` to ``path``, making the folders above it.

    Raises:
        PotvitError: the place cannot be written; an older report stays as it was.
    """
    partial = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(report, stream, indent=1)
            stream.write("\n")
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    except OSError as error:
        raise PotvitError(f"report {path} cannot be written ({error.strerror})") from None
    finally:
        if partial is not None and os.path.exists(partial):
            os.unlink(partial)
