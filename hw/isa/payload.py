"""The typed payload of every opcode: one frozen dataclass each, the only table of fields.

The order of the fields is their order in the instruction, from bit 64 up, the number beside a type
its width. docs/architecture.md says what each field means. All are unsigned and default to zero.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Annotated, ClassVar, get_args, get_type_hints

from golden.ops.psmac import MacMode


class Op(IntEnum):
    """Opcodes."""

    LOAD = 1
    GATHER = 2
    MATMUL = 3
    NORM = 4
    ATTEND = 5
    STORE = 6
    END = 7
    SCATTER = 8


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


#: A field of one bit.
Flag = Annotated[bool, 1]


_tables: dict[Op, dict[str, tuple[type, int]]] = {}


def _fields(cls: type[Payload]) -> dict[str, tuple[type, int]]:
    """Type and width of every field, in the order of their declaration."""
    if cls.op not in _tables:
        hints = get_type_hints(cls, include_extras=True)
        _tables[cls.op] = {f.name: get_args(hints[f.name]) for f in fields(cls)}
    return _tables[cls.op]


@dataclass(frozen=True, kw_only=True)
class Payload:
    """What an instruction says beside its header."""

    op: ClassVar[Op]

    @classmethod
    def table(cls) -> tuple[tuple[str, int], ...]:
        """Name and width of every field, lowest bits first."""
        return tuple((name, width) for name, (_, width) in _fields(cls).items())

    @classmethod
    def width(cls, name: str) -> int:
        """Bits of the field ``name``."""
        return _fields(cls)[name][1]

    @classmethod
    def of(cls, values: dict[str, int]) -> Payload:
        """The payload with these field values; ``ValueError`` for a memory that does not exist."""
        kinds = _fields(cls)
        return cls(**{name: kinds[name][0](value) for name, value in values.items()})

    def values(self) -> dict[str, int]:
        """Field values as numbers, in the order of the table."""
        return {name: int(getattr(self, name)) for name in _fields(type(self))}


@dataclass(frozen=True, kw_only=True)
class Load(Payload):
    """DRAM to STREAM, NORM, GELU or CONST, words back to back."""

    op = Op.LOAD
    dest: Annotated[Mem, 4] = Mem.ACT
    addr: Annotated[int, 16] = 0
    words: Annotated[int, 16] = 0
    beats: Annotated[int, 16] = 0
    dram: Annotated[int, 32] = 0


@dataclass(frozen=True, kw_only=True)
class Matmul(Payload):
    """Tiles times row groups, and what becomes of their sums."""

    op = Op.MATMUL
    a_addr: Annotated[int, 16] = 0
    a_stride: Annotated[int, 12] = 0
    w_addr: Annotated[int, 16] = 0
    w_stride: Annotated[int, 12] = 0
    p_addr: Annotated[int, 16] = 0
    d_addr: Annotated[int, 16] = 0
    d_stride: Annotated[int, 12] = 0
    d_step: Annotated[int, 6] = 0
    chunks: Annotated[int, 10] = 0
    groups: Annotated[int, 8] = 0
    tiles: Annotated[int, 8] = 0
    rows_last: Annotated[int, 6] = 0
    cols_last: Annotated[int, 6] = 0
    k_last: Annotated[int, 6] = 0
    dest: Annotated[Mem, 3] = Mem.ACT
    group_outer: Flag = False
    w4: Flag = False
    zero_first: Flag = False
    shared_params: Flag = False
    gelu: Flag = False
    const_old: Flag = False
    stats_init: Flag = False
    keep_params: Flag = False
    token: Annotated[int, 10] = 0
    sub: Annotated[int, 6] = 0
    slot: Annotated[int, 8] = 0
    masked: Flag = False
    x4: Flag = False

    @property
    def last_inputs(self) -> int:
        """``k_last`` as the number that it stands for: 0 is 64."""
        return self.k_last or 1 << self.width("k_last")

    @property
    def mode(self) -> MacMode:
        """Operand widths: ``w4`` weights of 4 bits, ``x4`` with it activations of 4 bits too."""
        return MacMode.W4A4 if self.x4 else MacMode.W4 if self.w4 else MacMode.W8


@dataclass(frozen=True, kw_only=True)
class Norm(Payload):
    """LayerNorm of a run of tokens."""

    op = Op.NORM
    r_addr: Annotated[int, 16] = 0
    token: Annotated[int, 10] = 0
    count: Annotated[int, 10] = 0
    channels: Annotated[int, 12] = 0
    steps: Annotated[int, 10] = 0
    p_addr: Annotated[int, 16] = 0
    shift: Annotated[int, 6] = 0
    d_addr: Annotated[int, 16] = 0
    d_stride: Annotated[int, 12] = 0
    narrow: Flag = False


@dataclass(frozen=True, kw_only=True)
class Attend(Payload):
    """Softmax and A x V of one row group and head."""

    op = Op.ATTEND
    l_addr: Annotated[int, 16] = 0
    slot: Annotated[int, 8] = 0
    keys: Annotated[int, 11] = 0
    frac: Annotated[int, 3] = 0
    half: Flag = False
    fq: Flag = False
    odd: Annotated[int, 10] = 0
    even: Annotated[int, 10] = 0
    v_addr: Annotated[int, 16] = 0
    shift: Annotated[int, 6] = 0
    d_addr: Annotated[int, 16] = 0
    d_words: Annotated[int, 6] = 0
    write_codes: Flag = False
    masked: Flag = False
    narrow: Flag = False


@dataclass(frozen=True, kw_only=True)
class Store(Payload):
    """Words of a memory to DRAM, each in whole beats."""

    op = Op.STORE
    src: Annotated[Mem, 4] = Mem.ACT
    addr: Annotated[int, 16] = 0
    words: Annotated[int, 16] = 0
    dram: Annotated[int, 32] = 0


@dataclass(frozen=True, kw_only=True)
class TokenRun(Payload):
    """Runs of segments between DRAM and the words of tokens."""

    mem: Annotated[Mem, 4] = Mem.ACT
    flip: Flag = False
    addr: Annotated[int, 16] = 0
    stride: Annotated[int, 12] = 0
    bank: Annotated[int, 6] = 0
    line_addr: Annotated[int, 16] = 0
    line_bank: Annotated[int, 6] = 0
    seg_bytes: Annotated[int, 14] = 0
    segs: Annotated[int, 10] = 0
    rows: Annotated[int, 12] = 0
    runs: Annotated[int, 10] = 0
    beats: Annotated[int, 16] = 0
    pitch: Annotated[int, 24] = 0
    dram: Annotated[int, 32] = 0


@dataclass(frozen=True, kw_only=True)
class Gather(TokenRun):
    """DRAM to ACT or RESIDUAL."""

    op = Op.GATHER


@dataclass(frozen=True, kw_only=True)
class Scatter(TokenRun):
    """RESIDUAL to DRAM."""

    op = Op.SCATTER


@dataclass(frozen=True, kw_only=True)
class End(Payload):
    """The program ends when every unit is idle."""

    op = Op.END


PAYLOADS: dict[Op, type[Payload]] = {
    cls.op: cls for cls in (Load, Gather, Matmul, Norm, Attend, Store, End, Scatter)
}

#: Name and width of every payload field by opcode.
PAYLOAD = {op: cls.table() for op, cls in PAYLOADS.items()}

#: The last field of an opcode that only arrays with a 4x4 mode have: elsewhere it must be zero.
NARROW_FIELDS = {Op.MATMUL: "x4", Op.NORM: "narrow", Op.ATTEND: "narrow"}
