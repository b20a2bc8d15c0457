"""One proof a file, each a subclass of `formal.kit.proof.Proof`."""

from __future__ import annotations

import importlib
import pkgutil

from formal.kit.proof import Proof


def every_proof() -> list[Proof]:
    """An instance of each proof in this folder, in the order of the files."""
    found: list[Proof] = []
    for info in sorted(pkgutil.iter_modules(__path__), key=lambda info: info.name):
        module = importlib.import_module(f"{__name__}.{info.name}")
        found += [
            value() for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, Proof)
            and value.__module__ == module.__name__
        ]  # fmt: skip
    return found
