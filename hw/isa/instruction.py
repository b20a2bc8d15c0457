"""Instruction set: 256-bit instructions, shared by compiler, RTL, interpreter and benches.

Bits 0..63 are the header (opcode, signal mask, wait counts), bits 64..255 the payload of the
opcode (``hw.isa.payload``). Instructions lie in DRAM as 32 little-endian bytes.
docs/architecture.md says what each field means.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cache

from hw.isa.payload import PAYLOAD, PAYLOADS, Mem, Op, Payload

__all__ = [
    "HEADER", "HEADER_BITS", "INSTR_BYTES", "PAYLOAD", "PAYLOAD_BITS", "UNITS", "UNIT_OF",
    "Instr", "Mem", "Op", "Unit",
]  # fmt: skip

INSTR_BYTES = 32
HEADER_BITS = 64
PAYLOAD_BITS = 192


class Unit(IntEnum):
    """Units with an instruction queue; the order is the order of wait counts and signal bits."""

    LOAD = 0
    ARRAY = 1
    NORM = 2
    ATTN = 3
    STORE = 4


UNITS = len(Unit)

UNIT_OF = {
    Op.LOAD: Unit.LOAD,
    Op.GATHER: Unit.LOAD,
    Op.MATMUL: Unit.ARRAY,
    Op.NORM: Unit.NORM,
    Op.ATTEND: Unit.ATTN,
    Op.STORE: Unit.STORE,
    Op.SCATTER: Unit.STORE,
}

HEADER: tuple[tuple[str, int], ...] = (
    ("opcode", 4),
    ("signal", 5),
    ("reserved", 7),
    *((f"wait_{u.name.lower()}", 8) for u in Unit),
    ("tag", 8),
)


@dataclass(frozen=True, kw_only=True)
class Instr:
    """One instruction: payload, wait counts per producer, units to signal."""

    body: Payload
    waits: dict[Unit, int] = field(default_factory=dict)
    signals: frozenset[Unit] = frozenset()
    tag: int = 0

    @property
    def op(self) -> Op:
        """The opcode."""
        return self.body.op

    @property
    def unit(self) -> Unit:
        """The unit that executes it; ``KeyError`` for END."""
        return UNIT_OF[self.op]

    def pack(self) -> bytes:
        """The 32 bytes; ``ValueError`` names a field that does not fit."""
        header = {f"wait_{u.name.lower()}": n for u, n in self.waits.items()}
        header |= {"opcode": int(self.op), "tag": self.tag}
        header["signal"] = sum(1 << u for u in self.signals)
        payload = _pack(self.body.table(), self.body.values())
        word = _pack(HEADER, header) | payload << HEADER_BITS
        return word.to_bytes(INSTR_BYTES, "little")

    @staticmethod
    def unpack(raw: bytes) -> Instr:
        """Decode 32 bytes; ``ValueError`` for an opcode or a memory that does not exist."""
        word = int.from_bytes(raw, "little")
        header = _unpack(HEADER, word)
        kind = PAYLOADS[Op(header["opcode"])]
        waits = {u: n for u in Unit if (n := header[f"wait_{u.name.lower()}"])}
        signals = frozenset(u for u in Unit if header["signal"] >> u & 1)
        body = kind.of(_unpack(kind.table(), word >> HEADER_BITS))
        return Instr(body=body, waits=waits, signals=signals, tag=header["tag"])


@cache
def places(table: tuple[tuple[str, int], ...], at: int = 0) -> Mapping[str, tuple[int, int]]:
    """Lowest bit and width of every field of ``table``, whose first field begins at bit ``at``."""
    found = {}
    for name, width in table:
        found[name] = (at, width)
        at += width
    return found


def _pack(table: tuple[tuple[str, int], ...], values: dict[str, int]) -> int:
    word = 0
    for name, (at, width) in places(table).items():
        value = values.get(name, 0)
        if not 0 <= value < 1 << width:
            raise ValueError(f"{name} = {value} does not fit {width} bits")
        word |= value << at
    return word


def _unpack(table: tuple[tuple[str, int], ...], word: int) -> dict[str, int]:
    found = places(table).items()
    return {name: word >> at & (1 << width) - 1 for name, (at, width) in found}
