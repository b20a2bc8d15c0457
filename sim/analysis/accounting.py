"""Where the cycles of a traced run went: per layer, per cause, per unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from golden.ops.psmac import MacMode
from hw.config import Config
from hw.isa.instruction import UNIT_OF, Instr, Unit
from hw.isa.payload import Matmul
from hw.program.destination import real_tokens
from hw.program.footprint import chunk_inputs, footprint
from hw.program.program import Program
from sim.analysis.traffic import layer_dram_bytes
from sim.system.trace import instruction_times

#: What a cycle of the array goes to. Of a cycle that takes a chunk, part is ``useful`` and the
#: rest lost to rows, columns and lanes that hold no data; the others take no chunk.
CHUNK_CAUSES = ("useful", "rows", "columns", "lanes")
STALL_CAUSES = ("pace", "parameters", "constants", "waiting")
CAUSES = (*CHUNK_CAUSES, *STALL_CAUSES)

#: The RTL's counters of those that take no chunk.
STALL_COUNTERS = {
    "pace": "array_stall_pace",
    "parameters": "array_stall_params",
    "constants": "array_stall_const",
}

#: Resolution of the stored timeline: gaps below this share of the run are closed.
FINENESS = 4096


def account(program: Program, events: npt.NDArray[np.int64], config: Config) -> dict[str, Any]:
    """Layers and unit timeline of one run from its trace.

    ``layers``: name, cycles, predicted, array_busy (cycles that took a chunk), macs, ``dram_read``
    and ``dram_write`` (bytes of its loads and stores; fetching instructions is extra), and
    ``array``, the layer's array cycles by `CAUSES`. ``cycles`` are charged as the cycle model
    does: an array instruction gets the time since the one before was done, the last layer what is
    left. ``array`` is charged from last chunk to last chunk, so a layer's sum may differ from its
    ``cycles`` by a drain; both add up to the cycles of the run. ``timeline``: per unit, lists of
    layer, start and end (exclusive).
    """
    times = instruction_times(program, events)
    cycles = int(events[-1, 0]) + 1
    instrs = program.instructions()[:-1]
    layer_of = [layer for _, layer, _, _ in program.timeline]
    spent = [0] * len(program.layers)
    parts = np.zeros((len(program.layers), len(CAUSES)))
    waiting = CAUSES.index("waiting")
    products = {n: i.body for n, i in enumerate(instrs) if isinstance(i.body, Matmul)}
    drain = _drain(times[list(products)])
    finished = issued = 0
    for number, body in products.items():
        layer, (start, done) = layer_of[number], times[number].tolist()
        spent[layer] += done + 1 - finished
        parts[layer] += split(body, done - drain - start, config)
        parts[layer][waiting] += start + 1 - issued
        finished, issued = done + 1, done + 1 - drain
    spent[-1] += cycles - finished
    parts[-1][waiting] += cycles - issued
    moved = layer_dram_bytes(program, config)
    layers = [
        {
            "name": layer.name,
            "cycles": found,
            "predicted": layer.cycles,
            "array_busy": round(sum(part[: len(CHUNK_CAUSES)])),
            "macs": layer.macs,
            "dram_read": moved[number][0],
            "dram_write": moved[number][1],
            "array": {c: round(float(x), 3) for c, x in zip(CAUSES, part, strict=True)},
        }
        for number, (layer, found, part) in enumerate(
            zip(program.layers, spent, parts, strict=True)
        )
    ]
    return {"layers": layers, "timeline": _timeline(instrs, layer_of, times, cycles)}


def _drain(times: npt.NDArray[np.int64]) -> int:
    """Cycles from an array instruction's last chunk to done, the same for all of them.

    An instruction is accepted with the last chunk of the one before at the earliest, and mostly
    then.
    """
    return int(max(times[:-1, 1] - times[1:, 0], default=0))


def split(f: Matmul, cycles: int, config: Config) -> npt.NDArray[np.float64]:
    """The cycles of one MATMUL, acceptance to last chunk, by `CAUSES` (``waiting`` is 0)."""
    made = footprint(f, config)
    passes = f.tiles * f.groups
    chunks = passes * f.chunks
    rows = chunks * (real_tokens(f, config) - f.zero_first) / (f.groups * config.rows)
    cols = rows * (1 - (1 - f.cols_last / config.cols) / f.tiles)
    useful = cols * (1 - (1 - f.last_inputs / chunk_inputs(f, config)) / f.chunks)
    lost = cycles - chunks
    pace = min(lost, made.array_cycles - chunks)
    lost -= pace
    params = min(lost, config.param_words * made.param_sets) if f.const_old else lost
    return np.array(
        [useful, chunks - rows, rows - cols, cols - useful, pace, params, lost - params, 0.0]
    )


def array_cycles(program: Program, counters: Mapping[str, int], config: Config) -> dict[str, Any]:
    """Every cycle of the run by what the array did in it, from program and RTL counters.

    `CHUNK_CAUSES` follow from the program; the others are counters, ``waiting`` by what it waited
    for (a unit, ``starved`` for an empty queue, ``issue`` for the rest). ``unaccounted`` is what
    is missing to the counter of cycles: 0 if hardware and program agree.
    """
    total = np.zeros(len(CAUSES))
    for instr in program.instructions():
        if isinstance(f := instr.body, Matmul):
            total += split(f, f.tiles * f.groups * f.chunks, config)
    found: dict[str, Any] = {
        c: round(float(x), 3) for c, x in zip(CHUNK_CAUSES, total, strict=False)
    }
    found |= {cause: counters[name] for cause, name in STALL_COUNTERS.items()}
    idle = counters["array_stall_no_instr"]
    waits = {u.name.lower(): counters[f"array_wait_{u.name.lower()}"] for u in Unit
             if u is not Unit.ARRAY}  # fmt: skip
    waits["starved"] = counters["array_starved"]
    waits["issue"] = idle - sum(waits.values())
    found["waiting"] = waits
    chunks = sum(total[: len(CHUNK_CAUSES)])
    stalls = idle + sum(counters[name] for name in STALL_COUNTERS.values())
    found["unaccounted"] = round(float(counters["cycles"] - stalls - chunks), 3)
    return found


def precision(program: Program, config: Config) -> dict[str, Any]:
    """``peak_macs_per_cycle`` of the program's fastest mode, and its MACs by operand widths.

    ``ideal_cycles`` is how long they would take with the array full all the time, each at its own
    mode's peak: over the cycles of a run it gives the precision-weighted utilisation.
    """
    macs = dict.fromkeys(MacMode, 0)
    for instr in program.instructions():
        if isinstance(f := instr.body, Matmul):
            macs[f.mode] += footprint(f, config).macs
    return {
        "peak_macs_per_cycle": config.macs
        * max((mode.products for mode in MacMode if macs[mode]), default=1),
        "macs_8x8": macs[MacMode.W8],
        "macs_8x4": macs[MacMode.W4],
        "macs_4x4": macs[MacMode.W4A4],
        "ideal_cycles": sum(macs[mode] / (mode.products * config.macs) for mode in MacMode),
    }


def _timeline(
    instrs: list[Instr], layer_of: list[int], times: npt.NDArray[np.int64], cycles: int
) -> dict[str, dict[str, list[int]]]:
    """Instructions of each unit; those of one layer with a short gap between become one."""
    gap = max(1, cycles // FINENESS)
    lines: dict[str, dict[str, list[int]]] = {
        u.name.lower(): {"layer": [], "start": [], "end": []} for u in Unit
    }
    for instr, layer, (start, done) in zip(instrs, layer_of, times.tolist(), strict=True):
        line = lines[UNIT_OF[instr.op].name.lower()]
        if line["end"] and line["layer"][-1] == layer and start - line["end"][-1] <= gap:
            line["end"][-1] = done + 1
        else:
            for name, value in (("layer", layer), ("start", start), ("end", done + 1)):
                line[name].append(value)
    return lines
