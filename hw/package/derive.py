"""What `peakrdl` derives from the SystemRDL: C header, HTML pages, IP-XACT."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

from golden.support.environment import tool_environment
from golden.support.errors import PotvitError

#: Packages of `peakrdl`'s commands, all in the extra ``package``.
NEEDED = ("peakrdl", "peakrdl_cheader", "peakrdl_html", "peakrdl_ipxact")


def require_peakrdl() -> None:
    """Refuse a machine without `peakrdl`, before long work.

    Raises:
        PotvitError: says which package is missing and how to get it.
    """
    for module in NEEDED:
        if importlib.util.find_spec(module) is None:
            raise PotvitError(
                f"{module.replace('_', '-')} is missing: `make setup`, or "
                "pip install 'potvit[package]'"
            )


def c_header(rdl: Path, out: Path) -> None:
    """The registers as a C header that any C99 compiler takes."""
    _peakrdl("c-header", rdl, out, "--std", "gnu99")


def html(rdl: Path, out: Path) -> None:
    """The registers as a folder of pages."""
    _peakrdl("html", rdl, out)


def ip_xact(rdl: Path, out: Path) -> None:
    """The registers as an IP-XACT file of 2009."""
    _peakrdl("ip-xact", rdl, out, "--standard", "2009")


def _peakrdl(command: str, rdl: Path, out: Path, *options: str) -> None:
    code = "import sys; from peakrdl.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, command, str(rdl), "-o", str(out), *options],
        env=tool_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        lines = (done.stderr + done.stdout).strip().splitlines() or ["no output"]
        wrong = next((line for line in lines if "error" in line.lower()), lines[-1])
        raise PotvitError(f"peakrdl {command} failed: {wrong.strip()}")
