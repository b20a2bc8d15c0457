"""Start and end of every instruction in RTL: logged by the system's Verilog, read here.

The log has one line ``cycle bit end tag`` per pulse on the accelerator's trace ports: ``bit`` is
the unit (`RUN`: the run itself), ``end`` 0 for `trace_start` and 1 for `trace_done`. It is always
on; it costs less than the noise of a simulation's speed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from hw.isa.instruction import UNIT_OF, Unit
from hw.program.program import Program

TRACE = "trace.txt"

#: Bit of the trace ports that stands for the whole run.
RUN = len(Unit)

START, DONE = 0, 1


def monitor() -> str:
    """Verilog that logs the wires ``trace_*`` of the accelerator."""
    lines = [
        "    integer trace, cycle;",
        f'    initial begin trace = $fopen("{TRACE}", "w"); cycle = 0; end',
        "    always @(posedge clk) begin",
        "        cycle <= cycle + 1;",
        "        if (|{trace_start, trace_done}) begin",
    ]
    for end, port in enumerate(("trace_start", "trace_done")):
        for bit in (*Unit, RUN):
            tag = f"{port}_tag[{8 * bit + 7}:{8 * bit}]" if bit < RUN else "8'd0"
            lines.append(
                f"            if ({port}[{bit}]) "
                f'$fwrite(trace, "%0d {bit:d} {end} %0d\\n", cycle, {tag});'
            )
    lines += [
        f"            if (trace_done[{RUN}]) $fflush(trace);",
        "        end",
        "    end",
    ]
    return "\n".join(lines) + "\n"


def last_run(path: Path) -> npt.NDArray[np.int64]:
    """Events [n, (cycle, bit, end, tag)] of the last complete run, its first cycle being 0."""
    events = np.loadtxt(path, np.int64, ndmin=2)
    runs = events[:, 1] == RUN
    ends = np.flatnonzero(runs & (events[:, 2] == DONE))
    assert len(ends), "the trace holds no complete run"
    begins = np.flatnonzero(runs[: ends[-1]] & (events[: ends[-1], 2] == START))
    run = events[begins[-1] + 1 : ends[-1] + 1].copy()
    run[:, 0] -= events[begins[-1], 0] + 1
    return run


def instruction_times(program: Program, events: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Start and done cycles [instructions, 2] in program order, END left out.

    Units work in order, so the n-th event of a unit is its n-th instruction's; the tags must agree.
    """
    instrs = program.instructions()[:-1]
    times = np.zeros((len(instrs), 2), np.int64)
    units = np.array([UNIT_OF[i.op] for i in instrs])
    tags = np.array([i.tag for i in instrs])
    for unit in Unit:
        mine = np.flatnonzero(units == unit)
        for end in (START, DONE):
            found = events[(events[:, 1] == unit) & (events[:, 2] == end)]
            assert len(found) == len(mine), f"{unit.name}: {len(found)} of {len(mine)} traced"
            assert (found[:, 3] == tags[mine]).all(), f"{unit.name}: tags differ from the program"
            times[mine, end] = found[:, 0]
    return times
