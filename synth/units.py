"""The units of a configuration: which modules count together, and how often each occurs."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from golden.support.errors import PotvitError
from synth.hierarchy import Memory, VerilogModule

#: Unit, the part of the design it belongs to, and the paths (below the top) of its modules. A
#: module that no pattern matches belongs to the unit of the module around it.
UNITS: tuple[tuple[str, str, str], ...] = (
    ("pe", "array", r"core\.array\.array\.pe_\d+_\d+"),
    ("pe_operands", "array", r"core\.array\.array"),
    ("operand_sums", "array", r"core\.array\.array\.(row|column)_sum_\d+"),
    ("channel_params", "array", r"core\.array\.params"),
    ("matmul_control", "array", r"core\.array\.control"),
    ("drain_sequencer", "array", r"core\.array\.sequencer"),
    ("array_unit", "array", r"core\.array"),
    ("requantizer", "requantization", r"core\.array\.drain\.adder_\d+"),
    ("drain", "requantization", r"core\.array\.drain"),
    ("row_max", "softmax", r"core\.array\.drain\.row_max"),
    ("exponential", "softmax", r"core\.attn\.softmax\.(sum|code)_exp\d+"),
    ("row_sum", "softmax", r"core\.attn\.softmax\.total\d+"),
    ("code_select", "softmax", r"core\.attn\.softmax\.select\d+"),
    ("softmax", "softmax", r"core\.attn\.softmax"),
    ("shifter_array", "shifter array", r"core\.attn\.value_pass\.shifters"),
    ("value_pass", "shifter array", r"core\.attn\.value_pass"),
    ("key_stores", "softmax", r"core\.attn\.(distance|code)_store"),
    ("logit_feed", "softmax", r"core\.attn\.summing\.feed"),
    ("attention_control", "softmax", r"core\.attn"),
    ("token_statistics", "LayerNorm", r"core\.array\.drain\.statistics"),
    ("layernorm", "LayerNorm", r"core\.norm\.datapath"),
    ("token_root", "LayerNorm", r"core\.norm\.datapath\.(root|variance)"),
    ("norm_control", "LayerNorm", r"core\.norm"),
    ("load", "DMA", r"core\.load"),
    ("gearbox", "DMA", r"core\.load\.writer\.gearbox"),
    ("store", "DMA", r"core\.store"),
    ("read_arbiter", "DMA", r"core\.arbiter"),
    ("activation_buffer", "buffers", r"core\.activation"),
    ("stream_buffer", "buffers", r"core\.stream"),
    ("value_buffer", "buffers", r"core\.value"),
    ("logit_buffer", "buffers", r"core\.logit"),
    ("other_buffers", "buffers", r"core\.(residual|statistics|out|norm_parameters|constants)"),
    ("fetch", "control", r"core\.fetch"),
    ("issue_queues", "control", r"core\.sequencer\.\w+_queue"),
    ("sequencer", "control", r"core\.sequencer"),
    ("counters", "control", r"counters"),
    ("registers", "control", r"registers"),
    ("top", "control", r"(control|core)?"),
)

#: Units whose operands (inputs of 2 to `INVERTED_OPERAND_BITS` bits) their drivers supply inverted.
#: A product bit is then one NOR instead of a NOR and its share of inverters, and the inverters
#: are in front, once for the many instances: what a synthesis tool does across hierarchy.
INVERTED = frozenset({"pe"})
INVERTED_OPERAND_BITS = 8

PARTS = {name: part for name, part, _ in UNITS}


@dataclass(frozen=True, kw_only=True)
class Part:
    """A distinct module of a unit, with what lies inside of it up to other units.

    ``name`` of the unit, ``top`` of the module, ``modules`` to synthesize, ``boxes`` the modules
    of other units inside it, ``inverted_boxes`` the names of those in `INVERTED`, ``inverted``
    whether this one is; ``instances`` in the design, ``memories`` of one instance, ``digest`` of
    the contents.
    """

    name: str
    top: str
    modules: tuple[VerilogModule, ...]
    boxes: tuple[VerilogModule, ...]
    inverted: bool
    inverted_boxes: frozenset[str]
    instances: int
    memories: tuple[Memory, ...]
    digest: str


def unit_of(path: str) -> str | None:
    """The unit whose pattern matches the module name below the top's (or ``""``), or None."""
    inside = path.partition(".")[2]
    for name, _, pattern in UNITS:
        if re.fullmatch(pattern, inside):
            return name
    return None


def plan(modules: Mapping[str, VerilogModule], only: str | None = None) -> list[Part]:
    """The distinct modules of every unit, or of unit ``only``, in the order of `UNITS`.

    Raises:
        PotvitError: there is no unit of that name, or the design has no instance of it.
    """
    if only is not None and only not in PARTS:
        raise PotvitError(f"unknown unit {only!r}; one of {', '.join(PARTS)}")
    order = list(PARTS)
    roots = [(unit, path) for path in modules if (unit := unit_of(path)) is not None]
    chosen: dict[tuple[str, str], list[str]] = {}
    for unit, path in roots:
        if only in (None, unit):
            chosen.setdefault((unit, modules[path].digest), []).append(path)
    if only is not None and not chosen:
        raise PotvitError(f"unit {only!r}: this configuration has none")
    parts = []
    for (unit, _), paths in chosen.items():
        inside, boxes = _inside(modules, paths[0])
        inverted = frozenset(box.name for box in boxes if unit_of(box.name) in INVERTED)
        contents = [*(module.digest for module in inside), str(len(boxes)), str(len(inverted))]
        parts.append(
            Part(
                name=unit,
                top=paths[0],
                modules=tuple(inside),
                boxes=tuple(boxes),
                inverted=unit in INVERTED,
                inverted_boxes=inverted,
                instances=len(paths),
                memories=tuple(m for module in inside for m in module.memories),
                digest=hashlib.sha256("\n".join(contents).encode()).hexdigest()[:24],
            )
        )
    return sorted(parts, key=lambda part: order.index(part.name))


def _inside(
    modules: Mapping[str, VerilogModule], path: str
) -> tuple[list[VerilogModule], list[VerilogModule]]:
    """The module and those below it of the same unit; below these, modules of other units.

    Each instance is a module of its own in generated Verilog, so the lists count instances.
    """
    inside, boxes = [modules[path]], []
    for child in modules[path].children:
        if unit_of(child) is not None:
            boxes.append(modules[child])
            continue
        more, further = _inside(modules, child)
        inside += more
        boxes += further
    return inside, boxes


def memory_table(parts: list[Part]) -> list[tuple[str, Memory, int]]:
    """(unit, memory, number of such memories) over all instances, in the order of ``parts``."""
    found: Counter[tuple[str, Memory]] = Counter()
    for part in parts:
        for memory in part.memories:
            found[part.name, memory] += part.instances
    return [(unit, memory, count) for (unit, memory), count in found.items()]
