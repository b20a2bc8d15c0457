"""The paper's argument in gates: units of the accelerator beside ordinary ones of the same rate."""

from __future__ import annotations

from typing import Any

from amaranth.lib import wiring

from golden.ops.requantize import Requantize
from golden.ops.shift_attention import ShiftAttention
from golden.ops.softmax import LogIntSoftmax
from hw.array.drain.requantizer import Requantizer
from hw.attention.shifter_array import ShifterArray
from hw.attention.softmax import SoftmaxUnit
from hw.config import Config
from hw.lib.convert import to_verilog
from hw.lib.memory import VerilogTarget, memory_verilog
from synth.ablation_units import DividerSoftmax, DyadicRequantizer, MultiplierArray
from synth.generic import Library, areas
from synth.hierarchy import read_modules
from synth.units import Part

TOP = "top"


def part_of(name: str, component: wiring.Component) -> Part:
    """A component on its own, flat, as something to synthesize."""
    modules = read_modules(to_verilog(component, TOP, VerilogTarget()))
    return Part(
        name=name,
        top=TOP,
        modules=tuple(modules.values()),
        boxes=(),
        inverted=False,
        inverted_boxes=frozenset(),
        instances=1,
        memories=(),
        digest=" ".join(module.digest for module in modules.values()),
    )


def comparisons(config: Config) -> list[dict[str, Any]]:
    """What is compared: ``what``, ``ours`` and ``ordinary`` components with ``..._is`` in words.

    A softmax row lane, a requantizer, and attention x V of the whole configuration.
    """
    size: dict[str, Any] = {
        "rows": config.rows,
        "keys": config.keys_per_cycle,
        "lanes": config.act_bytes,
    }
    return [
        {
            "what": "softmax, one row lane",
            "ours": SoftmaxUnit(LogIntSoftmax(form=config.exp_form), rows=1, keys=config.max_keys),
            "ours_is": "log2 codes, no divider",
            "ordinary": DividerSoftmax(config.max_keys),
            "ordinary_is": "8-bit probabilities, pipelined divider",
        },
        {
            "what": f"attention x V, {config.rows} rows of {config.head_lanes}",
            "ours": ShifterArray(ShiftAttention(), **size),
            "ours_is": "shifters, 4-bit and half-step codes",
            "ordinary": MultiplierArray(**size),
            "ordinary_is": "8x8 multipliers",
        },
        {
            "what": "requantizer, one channel",
            "ours": Requantizer(Requantize()),
            "ours_is": "shift",
            "ordinary": DyadicRequantizer(),
            "ordinary_is": "16-bit multiplier and shift",
        },
    ]


def compare(config: Config, lib: Library, *, jobs: int = 2) -> list[dict[str, Any]]:
    """Areas of the `comparisons`, with ``ratio`` = ordinary / ours, and `attention_row` of them."""
    rows = comparisons(config)
    parts = [part_of(f"{key} {row['what']}", row[key]) for row in rows
             for key in ("ours", "ordinary")]  # fmt: skip
    memory = memory_verilog()
    found = iter(areas(parts, memory, lib, jobs=jobs, label="ablations"))
    report = [
        _compared(
            {key: row[key] for key in ("what", "ours_is", "ordinary_is")},
            next(found).area,
            next(found).area,
        )
        for row in rows
    ]
    return [*report, attention_row(config, report)]


def attention_row(config: Config, report: list[dict[str, Any]]) -> dict[str, Any]:
    """Both halves of attention together: a row's softmax and its ``head_lanes`` products with V.

    Log2 codes cost the softmax a search for each code and save the multipliers behind it, so
    neither comparison says much alone.
    """
    softmax, values = report[:2]

    def both(key: str) -> float:
        return float(softmax[key] + values[key] / config.rows)

    return _compared(
        {
            "what": f"softmax and x V, one row of {config.head_lanes}",
            "ours_is": "log2 codes, shifters",
            "ordinary_is": "divider, multipliers",
        },
        both("ours"),
        both("ordinary"),
    )


def _compared(words: dict[str, Any], ours: float, ordinary: float) -> dict[str, Any]:
    return words | {
        "ours": round(ours, 2),
        "ordinary": round(ordinary, 2),
        "ratio": round(ordinary / ours, 4),
    }
