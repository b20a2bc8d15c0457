"""Packages that are not installed, and the extra that brings them."""

from __future__ import annotations

import importlib.metadata
import re

#: Modules whose package is called otherwise.
_DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn"}
#: Our own packages: a module of theirs that is missing is a fault, not a choice of the user.
_OWN = {"formal", "golden", "hw", "potvit", "sim", "synth", "tools"}


def cure(error: ModuleNotFoundError) -> str | None:
    """One line for a user who lacks the package behind ``error``; None if it is one of ours."""
    module = (error.name or "").partition(".")[0]
    if not module or module in _OWN:
        return None
    package = _DISTRIBUTIONS.get(module, module)
    return f"the package {package} is missing: pip install 'potvit[{_extra(package)}]'"


def _extra(package: str) -> str:
    """The first extra that asks for ``package``; ``all`` if none does by itself."""
    try:
        asked = importlib.metadata.requires("potvit") or []
    except importlib.metadata.PackageNotFoundError:
        asked = []
    for line in asked:
        found = re.match(r"([\w.-]+).*;.*extra == [\"'](\w+)[\"']", line)
        if found and _plain(found[1]) == _plain(package):
            return found[2]
    return "all"


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
