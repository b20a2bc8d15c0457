"""Where the user's data and the project's results lie."""

import os
from pathlib import Path

from golden.support.errors import PotvitError

#: The folder of results and caches: what POTVIT_BUILD names, else ``build`` in the working folder.
BUILD = Path(os.environ.get("POTVIT_BUILD") or "build")


def elsewhere(path: object) -> str:
    """What to add to a message that ``path`` cannot be written: the cure where it is in `BUILD`."""
    if path is None or not Path(str(path)).absolute().is_relative_to(BUILD.absolute()):
        return ""
    return f": POTVIT_BUILD=FOLDER names another place than {BUILD}"


def data_folder() -> Path | None:
    """The folder that POTVIT_DATA names, or None where the variable is unset or empty.

    Raises:
        PotvitError: it names something that is no folder.
    """
    value = os.environ.get("POTVIT_DATA", "")
    if not value:
        return None
    folder = Path(value)
    if not folder.is_dir():
        raise PotvitError(f"POTVIT_DATA={value} is no folder: correct it or unset it")
    return folder
