"""Byte formats as hardware sees them, from the same records that software packs."""

from __future__ import annotations

from amaranth.hdl import Shape
from amaranth.lib import data

from hw.formats.record import Number, Record


def shape(number: Number) -> Shape:
    """What hardware keeps of a number."""
    return Shape(number.bits, number.signed)


def record_layout(record: Record) -> data.FlexibleLayout:
    """A whole record, its numbers at their bytes."""
    fields = {n: data.Field(shape(v), 8 * v.at) for n, v in record.numbers.items()}
    return data.FlexibleLayout(8 * record.size, fields)
