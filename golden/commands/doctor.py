"""``python -m golden doctor``: what this machine has of what the project needs."""

from __future__ import annotations

import argparse
import importlib.metadata
import re
from pathlib import Path

from golden.support.requirements import CAPABILITIES, REQUIREMENTS

#: How a probe's answer is shown.
_STATES = {True: "there", False: "missing", None: "unknown before make setup"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""


def run(args: argparse.Namespace) -> int:
    """Print a line for each requirement; status 1 if a required one is missing."""
    rows = [(row, row.probe()) for row in REQUIREMENTS]
    cells = [("state", "what", "needed for", "targets", "Debian package")]
    for row, found in rows:
        capability = row.capability if row.required else f"{row.capability} (optional)"
        targets = CAPABILITIES[row.capability].targets
        cells.append((_STATES[found], row.name, capability, targets, row.package))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        padded = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        print("  ".join(padded).rstrip())
    print(_pinned_packages())
    args.report = {
        "requirements": [
            {
                "name": row.name, "found": found, "capability": row.capability,
                "required": row.required, "package": row.package,
            }
            for row, found in rows
        ],
    }  # fmt: skip
    absent = [row for row, found in rows if found is False]
    needed = {row.package for row in absent if row.required}
    wanted = {row.package for row in absent} - needed
    if wanted:
        print(f"optional: apt-get install {' '.join(sorted(wanted))}")
    if needed:
        print(f"required: apt-get install {' '.join(sorted(needed))}")
        return 1
    print("nothing required is missing")
    return 0


def _pinned_packages() -> str:
    """One line on the packages that pip brings: how many of the pins this Python has."""
    pins = _pins()
    if not pins:
        return "Python packages: as pip chose them (only a checkout pins releases)"
    lacking = [name for name, release in pins.items() if _installed(name) != release]
    if not lacking:
        return f"{len(pins)} pinned Python packages: there"
    return (
        f"{len(pins)} pinned Python packages: {len(lacking)} missing or of another release "
        f"({', '.join(lacking[:3])}{', ...' if len(lacking) > 3 else ''}); make setup installs them"
    )


def _pins() -> dict[str, str]:
    """Package to release, from the checkout's lock file; empty where there is no checkout."""
    lock = Path(__file__).parents[2] / "requirements.lock"
    if not lock.exists():
        return {}
    return dict(re.findall(r"^([\w.-]+)==([\w.]+)", lock.read_text(encoding="utf-8"), re.MULTILINE))


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name).partition("+")[0]  # without a build like +cpu
    except importlib.metadata.PackageNotFoundError:
        return None
