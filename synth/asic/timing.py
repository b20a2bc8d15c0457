"""Static timing and power by OpenSTA (Debian's package ``opensta``)."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from golden.support.errors import PotvitError
from synth.asic.netlist import write_netlists
from synth.yosys import scratch

TOOL = "sta"
#: Nanoseconds of the clock that paths are reported for; the clock that holds follows from slack.
PERIOD_NS = 10.0
SECONDS = 1800
_NO_NETWORK = "no network has been linked."


@dataclass(frozen=True, kw_only=True)
class Timing:
    """``critical_ns`` of the longest path, setup included; its cells from start to end.

    ``start`` and ``end`` are pins by their path of instances.
    """

    critical_ns: float
    start: str
    end: str
    levels: int

    @property
    def fmax_mhz(self) -> float:
        """The clock that this path allows."""
        return 1000 / self.critical_ns


def sta_version() -> str | None:
    """Release of the engine, None where it is not installed."""
    if shutil.which(TOOL) is None:
        return None
    done = subprocess.run([TOOL, "-version"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def require_sta() -> str:
    """The release.

    Raises:
        PotvitError: it is not installed.
    """
    version = sta_version()
    if version is None:
        raise PotvitError("target asic needs OpenSTA (`sta`), Debian's package opensta")
    return version


def longest_path(
    netlists: list[str], top: str, liberty: list[Path], clock: str, reset: str | None
) -> Timing | None:
    """The longest path of module ``top`` with the cells of ``liberty``; None if there is none.

    Inputs arrive with the clock's edge and outputs are taken at the next, so paths through ports
    count; the reset does not. Wires are those of the library's default wire load model.

    Raises:
        PotvitError: the engine fails.
    """
    require_sta()
    with scratch() as folder:
        names = write_netlists(folder, netlists)
        lines = [f"read_liberty {{{path.resolve()}}}" for path in liberty]
        lines += [f"read_verilog {name}" for name in names]
        lines += [
            f"link_design {{{top}}}",
            f"create_clock -name clock -period {PERIOD_NS} [get_ports {{{clock}}}]",
            "set_input_delay 0 -clock clock [all_inputs]",
            "set_output_delay 0 -clock clock [all_outputs]",
        ]
        if reset:
            lines.append(f"set_false_path -from [get_ports {{{reset}}}]")
        lines += ["report_checks -path_delay max -digits 4", "exit"]
        (folder / "run.tcl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        done = subprocess.run(
            [TOOL, "-no_splash", "-exit", "run.tcl"],
            cwd=folder, capture_output=True, text=True, check=False, timeout=SECONDS,
        )  # fmt: skip
    return read_path(done.stdout + done.stderr, top)


def read_path(report: str, what: str) -> Timing | None:
    """The path in what ``report_checks`` printed.

    Raises:
        PotvitError: there is an error instead.
    """
    failed = re.findall(r"^\s*Error: (.*)$", report, re.MULTILINE)
    if failed:  # the others follow from one
        raise PotvitError(f"OpenSTA failed on {what}: {min(failed, key=_NO_NETWORK.__eq__)}")
    if "No paths found" in report:
        return None
    slack = re.search(r"^\s*(-?[\d.]+)\s+slack", report, re.MULTILINE)
    start = re.search(r"^Startpoint: (\S+)", report, re.MULTILINE)
    end = re.search(r"^Endpoint: (\S+)", report, re.MULTILINE)
    if not (slack and start and end):
        last = report.strip().splitlines()[-1:] or ["no output"]
        raise PotvitError(f"OpenSTA gave no path of {what}: {last[0]}")
    levels = len(re.findall(r"^\s+[\d.]+\s+[\d.]+\s+[v^] ", report, re.MULTILINE))
    return Timing(
        critical_ns=round(PERIOD_NS - float(slack[1]), 4),
        start=start[1], end=end[1], levels=levels,
    )  # fmt: skip
