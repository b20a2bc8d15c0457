"""Runs cocotb tests on a compiled model and turns their results into Python values."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from pathlib import Path

import cocotb_tools.config
import find_libpython

from golden.support.environment import tool_environment
from sim.simulator.process import run_group
from sim.simulator.verilate import Simulator


def run(
    simulator: Simulator,
    module: str,
    *,
    testcase: str | None = None,
    env: Mapping[str, str] | None = None,
    plusargs: tuple[str, ...] = (),
    seed: int = 1,
    timeout: float = 3600.0,
    quiet: bool = True,
    folder: Path | None = None,
    watch: Callable[[], None] | None = None,
) -> list[str]:
    """Run the cocotb tests of ``module`` (one of them with ``testcase``); return their names.

    Raises ``AssertionError`` with the end of the log if a test fails, if none ran, or after
    ``timeout`` seconds. ``env`` reaches the test through ``os.environ``; files of the run (waves)
    are left in ``folder`` if given; ``watch`` is called now and then while it lasts.
    """
    with tempfile.TemporaryDirectory(prefix="potvit-") as scratch:
        here = folder.resolve() if folder else Path(scratch)
        here.mkdir(parents=True, exist_ok=True)
        results = here / "results.xml"
        results.unlink(missing_ok=True)
        command = [*simulator.interpreter, str(simulator.binary.resolve()), *plusargs]
        if simulator.waves:
            command += ["--trace", "--trace-file", "waves.fst"]
        full = _environment(simulator, module, testcase, results, seed) | dict(env or {})
        log = here / "sim.log"
        with log.open("w") as stream:
            try:
                run_group(
                    command, env=full, cwd=here, timeout=timeout, watch=watch,
                    stdin=subprocess.DEVNULL,
                    stdout=stream if quiet else None, stderr=subprocess.STDOUT if quiet else None,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                raise AssertionError(f"{module}: no end after {timeout} s\n{_tail(log)}") from None
        return _verdict(results, module, log)


def _environment(
    simulator: Simulator, module: str, testcase: str | None, results: Path, seed: int
) -> dict[str, str]:
    libpython = find_libpython.find_libpython()  # there, or `verilate` had refused
    env = tool_environment(
        GPI_USERS=f"{libpython};{cocotb_tools.config.pygpi_entry_point()}",
        PYGPI_PYTHON_BIN=sys.executable,
        COCOTB_TEST_MODULES=module,
        COCOTB_TOPLEVEL=simulator.toplevel,
        COCOTB_RESULTS_FILE=str(results),
        COCOTB_RANDOM_SEED=str(seed),
        COCOTB_TRUST_INERTIAL_WRITES="1",
        COCOTB_LOG_LEVEL="WARNING",
        PYTHONPATH=os.pathsep.join([str(Path.cwd()), *sys.path]),
        PYTHONUTF8="1",
        TOPLEVEL_LANG="verilog",
    )
    if testcase:
        env["COCOTB_TEST_FILTER"] = rf"\.{testcase}$"
    return env


def _tail(log: Path, lines: int = 40) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def _verdict(results: Path, module: str, log: Path) -> list[str]:
    if not results.exists():
        raise AssertionError(f"{module}: the simulator left no results\n{_tail(log)}")
    cases = list(ET.parse(results).getroot().iter("testcase"))
    ran = [c for c in cases if c.find("skipped") is None]
    bad = [c for c in ran if c.find("failure") is not None or c.find("error") is not None]
    if bad:
        names = ", ".join(str(c.get("name")) for c in bad)
        raise AssertionError(f"{module}: failed: {names}\n{_tail(log, 60)}")
    if not ran:
        raise AssertionError(f"{module}: no test ran\n{_tail(log)}")
    return [str(c.get("name")) for c in ran]
