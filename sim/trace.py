"""Start and end of every instruction in RTL: written by the system's Verilog, read here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hw.compiler.program import Program
from hw.isa import UNIT_OF, Unit

TRACE = "trace.txt"
FINISHED = len(Unit)


def monitor(sequencer: str) -> str:
    """Verilog that writes ``cycle unit end`` lines; ``sequencer`` is its hierarchical name.

    A unit's ``end`` is 0 when it takes an instruction's semaphores, 1 when it is done with one;
    unit 5 is the end of a program.
    """
    lines = [
        "    integer trace, cycle;",
        f'    initial begin trace = $fopen("{TRACE}", "w"); cycle = 0; end',
        "    always @(posedge clk) begin",
        "        cycle <= cycle + 1;",
    ]
    for unit in Unit:
        queue = f"{sequencer}.{unit.name.lower()}_queue"
        for end, signal in enumerate(("take", "done")):
            lines.append(
                f'        if ({queue}.{signal}) $fwrite(trace, "%0d {unit:d} {end}\\n", cycle);'
            )
    lines += [
        f"        if ({sequencer}.finished) begin",
        f'            $fwrite(trace, "%0d {FINISHED} 1\\n", cycle);',
        "            $fflush(trace);",
        "        end",
        "    end",
    ]
    return "\n".join(lines) + "\n"


def last_run(path: Path, cycles: int) -> npt.NDArray[np.int64]:
    """Events [n, (cycle since start, unit, end)] of the last program, which took ``cycles``."""
    events = np.loadtxt(path, np.int64, ndmin=2)
    ends = np.flatnonzero(events[:, 1] == FINISHED)
    assert len(ends), "the trace holds no finished program"
    first = ends[-2] + 1 if len(ends) > 1 else 0
    run = events[first : ends[-1]].copy()
    run[:, 0] += cycles - events[ends[-1], 0]
    return run


def instruction_times(program: Program, events: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Take and done cycles [instructions, 2] in program order; units work in order."""
    instrs = program.instructions()[:-1]
    times = np.zeros((len(instrs), 2), np.int64)
    units = np.array([UNIT_OF[i.op] for i in instrs])
    for unit in Unit:
        mine = np.flatnonzero(units == unit)
        for end in (0, 1):
            cycles = events[(events[:, 1] == unit) & (events[:, 2] == end), 0]
            assert len(cycles) == len(mine), f"{unit.name}: {len(cycles)} of {len(mine)} traced"
            times[mine, end] = cycles
    return times


def layer_cycles(program: Program, path: Path, cycles: int) -> list[dict[str, Any]]:
    """Cycles of each layer, measured and predicted, charged as the cycle model does it.

    An array instruction is charged the time since the one before was done; the last layer gets
    what is left to ``cycles``.
    """
    times = instruction_times(program, last_run(path, cycles))
    measured = [0] * len(program.layers)
    last = 0
    for (unit, layer, _, _), (_, done) in zip(program.timeline, times.tolist(), strict=True):
        if unit == "array":
            measured[layer] += done - last
            last = done
    measured[-1] += cycles - last
    return [
        {"name": layer.name, "cycles": found, "predicted": layer.cycles, "macs": layer.macs}
        for layer, found in zip(program.layers, measured, strict=True)
    ]
