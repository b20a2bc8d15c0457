"""Instruction set: 256-bit instructions, one field table shared by packer, RTL and interpreter.

Bits 0..63 are the header (opcode, signal mask, wait counts), bits 64..255 the payload of the
opcode. Instructions lie in DRAM as 32 little-endian bytes. docs/architecture.md says what each
field means.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

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


class Op(IntEnum):
    """Opcodes."""

    LOAD = 1
    PATCH = 2
    MATMUL = 3
    NORM = 4
    ATTEND = 5
    STORE = 6
    END = 7


class Mem(IntEnum):
    """Memories that LOAD fills, MATMUL writes or STORE reads."""

    ACT = 0
    STREAM = 1
    VALUE = 2
    LOGIT = 3
    RESIDUAL = 4
    OUT = 5
    NORM = 6
    GELU = 7
    CONST = 8


UNIT_OF = {
    Op.LOAD: Unit.LOAD,
    Op.PATCH: Unit.LOAD,
    Op.MATMUL: Unit.ARRAY,
    Op.NORM: Unit.NORM,
    Op.ATTEND: Unit.ATTN,
    Op.STORE: Unit.STORE,
}

HEADER: tuple[tuple[str, int], ...] = (
    ("opcode", 4),
    ("signal", 5),
    ("reserved", 7),
    *((f"wait_{u.name.lower()}", 8) for u in Unit),
    ("tag", 8),
)

PAYLOAD: dict[Op, tuple[tuple[str, int], ...]] = {
    Op.LOAD: (("dest", 4), ("addr", 16), ("words", 16), ("beats", 16), ("dram", 32)),
    Op.PATCH: (
        ("addr", 16),
        ("stride", 12),
        ("beats", 16),
        ("dram", 32),
        ("seg_words", 8),
        ("patches", 8),
        ("rows", 8),
        ("bank", 6),
    ),
    Op.MATMUL: (
        ("a_addr", 16),
        ("a_stride", 12),
        ("w_addr", 16),
        ("w_stride", 12),
        ("p_addr", 16),
        ("d_addr", 16),
        ("d_stride", 12),
        ("d_step", 6),
        ("chunks", 10),
        ("groups", 8),
        ("tiles", 8),
        ("rows_last", 6),
        ("cols_last", 6),
        ("k_last", 6),
        ("dest", 3),
        ("group_outer", 1),
        ("w4", 1),
        ("zero_first", 1),
        ("shared_params", 1),
        ("gelu", 1),
        ("const_old", 1),
        ("stats_init", 1),
        ("keep_params", 1),
        ("token", 10),
        ("sub", 6),
        ("slot", 8),
    ),
    Op.NORM: (
        ("r_addr", 16),
        ("token", 10),
        ("count", 10),
        ("channels", 12),
        ("steps", 10),
        ("p_addr", 16),
        ("shift", 6),
        ("d_addr", 16),
        ("d_stride", 12),
    ),
    Op.ATTEND: (
        ("l_addr", 16),
        ("slot", 8),
        ("keys", 10),
        ("frac", 3),
        ("half", 1),
        ("fq", 1),
        ("odd", 10),
        ("even", 10),
        ("v_addr", 16),
        ("shift", 6),
        ("d_addr", 16),
        ("d_words", 6),
        ("write_codes", 1),
    ),
    Op.STORE: (("src", 4), ("addr", 16), ("words", 16), ("dram", 32)),
    Op.END: (),
}


@dataclass(frozen=True, kw_only=True)
class Instr:
    """One instruction: opcode, payload fields, wait counts per producer, units to signal."""

    op: Op
    fields: dict[str, int]
    waits: dict[Unit, int] = field(default_factory=dict)
    signals: frozenset[Unit] = frozenset()
    tag: int = 0

    def pack(self) -> bytes:
        """The 32 bytes; ``ValueError`` names a field that does not fit or is unknown."""
        header = {f"wait_{u.name.lower()}": n for u, n in self.waits.items()}
        header |= {"opcode": int(self.op), "tag": self.tag}
        header["signal"] = sum(1 << u for u in self.signals)
        word = _pack(HEADER, header) | _pack(PAYLOAD[self.op], self.fields) << HEADER_BITS
        return word.to_bytes(INSTR_BYTES, "little")

    @staticmethod
    def unpack(raw: bytes) -> Instr:
        """Decode 32 bytes; ``ValueError`` for an illegal opcode."""
        word = int.from_bytes(raw, "little")
        header = _unpack(HEADER, word)
        op = Op(header["opcode"])
        waits = {u: n for u in Unit if (n := header[f"wait_{u.name.lower()}"])}
        signals = frozenset(u for u in Unit if header["signal"] >> u & 1)
        fields = _unpack(PAYLOAD[op], word >> HEADER_BITS)
        return Instr(op=op, fields=fields, waits=waits, signals=signals, tag=header["tag"])


def _pack(table: tuple[tuple[str, int], ...], values: dict[str, int]) -> int:
    unknown = values.keys() - {name for name, _ in table}
    if unknown:
        raise ValueError(f"unknown field {sorted(unknown)}")
    word, at = 0, 0
    for name, width in table:
        value = values.get(name, 0)
        if not 0 <= value < 1 << width:
            raise ValueError(f"{name} = {value} does not fit {width} bits")
        word |= value << at
        at += width
    return word


def _unpack(table: tuple[tuple[str, int], ...], word: int) -> dict[str, int]:
    out = {}
    for name, width in table:
        out[name] = word & ((1 << width) - 1)
        word >>= width
    return out
