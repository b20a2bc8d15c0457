"""Instruction fields as Amaranth layouts, from the one field table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from amaranth import unsigned
from amaranth.lib import data

from golden.ops.psmac import MacMode
from hw.isa.instruction import HEADER, HEADER_BITS, PAYLOAD, PAYLOAD_BITS, Op
from hw.precision import Precision


def header_layout() -> data.StructLayout:
    """The header as an Amaranth layout (64 bits)."""
    return _layout(HEADER, HEADER_BITS)


def payload_layout(op: Op) -> data.StructLayout:
    """The payload of ``op`` as an Amaranth layout (192 bits)."""
    return _layout(PAYLOAD[op], PAYLOAD_BITS)


def fields_layout(op: Op, names: Iterable[str]) -> data.StructLayout:
    """The fields ``names`` of the payload of ``op``, for a component that needs no others."""
    widths = dict(PAYLOAD[op])
    return data.StructLayout({name: unsigned(widths[name]) for name in names})


def mode_fields(precision: Precision) -> tuple[str, ...]:
    """The fields of a MATMUL that say in which mode of an array of ``precision`` it runs."""
    return ("w4", "x4") if precision.has(MacMode.W4A4) else ("w4",)


def _layout(table: tuple[tuple[str, int], ...], bits: int) -> data.StructLayout:
    members: dict[str, Any] = {name: unsigned(width) for name, width in table}
    pad = bits - sum(width for _, width in table)
    if pad < 0:
        raise ValueError(f"instruction fields exceed {bits} bits by {-pad}")
    if pad:
        members["_pad"] = unsigned(pad)
    return data.StructLayout(members)
