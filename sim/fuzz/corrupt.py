"""What is done to a valid program: from one bit to everything, with registers to match.

Every case follows from its seed and number alone. Fields are drawn over all their values, small
ones more often: a program all of whose addresses are illegal ends at its first instruction.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hw.bus.widths import ADDR_BITS
from hw.config import Config
from hw.isa.instruction import HEADER, HEADER_BITS, INSTR_BYTES, PAYLOAD, Op, places
from hw.program.program import Program
from sim.fuzz.case import Case

Rng = np.random.Generator
#: Lowest bit and width of a field.
_Place = tuple[int, int]
_HEADER = places(HEADER)

#: Cycles that a run may take: several times what the valid programs need, pauses included.
WATCHDOGS = (30_000, 120_000)
STALL_RATES = (0, 64, 160)
#: Of so many cases one is aborted, and one meets an error of the bus.
ABORTED, FAULTY = 10, 10
SLVERR, DECERR = 2, 3
#: Bytes that the window of an illegal place has at least.
_BEYOND = 1 << 20


def make_case(
    program: Program, config: Config, *, seed: int, number: int, memory_bytes: int
) -> Case:
    """Case ``number`` of ``seed`` for ``program``, in a DRAM of ``memory_bytes``."""
    rng = np.random.default_rng([seed, number])
    kind = list(KINDS)[number % len(KINDS)]
    image = program.image[program.entry :]
    words = [
        int.from_bytes(image[at : at + INSTR_BYTES], "little")
        for at in range(0, program.count * INSTR_BYTES, INSTR_BYTES)
    ]
    words = KINDS[kind](rng, words)[: program.count]
    window = _any(rng, (memory_bytes - program.window) // config.axi_bytes) * config.axi_bytes
    base, size, offset, count = window, program.window, program.entry, len(words)
    if kind == "place":
        base, size, offset, count = _place(rng, program, config, window, memory_bytes)
    legal = base % config.axi_bytes == 0 and base + size <= 1 << config.axi_addr_bits
    return Case(
        number=number,
        kind=kind,
        program=b"".join(word.to_bytes(INSTR_BYTES, "little") for word in words).hex(),
        noise=_any(rng, 1 << 31) if kind == "data" else -1,
        window=window, base=base, size=size, offset=offset, count=count,
        allowed=size if legal else 0,
        watchdog=int(rng.choice(WATCHDOGS)),
        stall_rate=int(rng.choice(STALL_RATES)),
        abort_after=1 + _any(rng, program.cycles) if _any(rng, ABORTED) == 0 else 0,
        fault=int(rng.choice((SLVERR, DECERR))) if _any(rng, FAULTY) == 0 else 0,
        fault_at=window + _any(rng, program.window),
    )  # fmt: skip


def _place(
    rng: Rng, program: Program, config: Config, window: int, memory_bytes: int
) -> tuple[int, int, int, int]:
    """Base, size, offset and count as nobody should write them, or hardly anybody."""
    bus = config.axi_bytes
    bases = (window, window, window, window + bus // 2, (1 << ADDR_BITS) - bus)
    base = bases[_any(rng, len(bases))]
    if base > window + bus:
        size = _BEYOND + _any(rng, _BEYOND)
    else:
        size = _any(rng, (0, 64, program.window, memory_bytes - window)[_any(rng, 4)] + 1)
    offsets = (program.entry, program.entry + _any(rng, INSTR_BYTES), _any(rng, 1 << 32))
    counts = (program.count, _any(rng, program.count), 2 * program.count, _any(rng, 1 << 32))
    return base, size, offsets[_any(rng, 3)], counts[_any(rng, 4)]


def _random(rng: Rng, words: list[int]) -> list[int]:
    """Bits that mean nothing."""
    return [int.from_bytes(rng.bytes(INSTR_BYTES), "little") for _ in words]


def _invented(rng: Rng, words: list[int]) -> list[int]:
    """Legal opcodes with fields of any values, few waits, and an END."""
    found = []
    for _ in words[1:]:
        op = Op(_any(rng, len(Op)) + 1)
        word = 0
        for place in _payload(op):
            word = _put(word, place, _value(rng, place[1]))
        word = _put(word, _HEADER["signal"], _any(rng, 32) if _any(rng, 4) == 0 else 0)
        found.append(_put(word, _HEADER["opcode"], int(op)))
    return [*found, words[-1]]


def _fields(rng: Rng, words: list[int]) -> list[int]:
    """A few payload fields of a valid program with other values."""
    changed = list(words)
    for _ in range(1 + _any(rng, 6)):
        at = _any(rng, len(words) - 1)
        places = _payload(Op(_get(changed[at], _HEADER["opcode"])))
        place = places[_any(rng, len(places))]
        near = _get(changed[at], place) + (-1, 1)[_any(rng, 2)]
        value = near if _any(rng, 3) == 0 else _value(rng, place[1])
        changed[at] = _put(changed[at], place, value)
    return changed


def _headers(rng: Rng, words: list[int]) -> list[int]:
    """Waits, signals, tags and opcodes of a valid program with other values."""
    changed = list(words)
    for _ in range(1 + _any(rng, 4)):
        at = _any(rng, len(words))
        place = list(_HEADER.values())[_any(rng, len(_HEADER))]
        changed[at] = _put(changed[at], place, _value(rng, place[1]))
    return changed


def _bits(rng: Rng, words: list[int]) -> list[int]:
    """Some bits of a valid program flipped."""
    changed = list(words)
    for _ in range(1 + _any(rng, 16)):
        changed[_any(rng, len(words))] ^= 1 << _any(rng, 8 * INSTR_BYTES)
    return changed


def _order(rng: Rng, words: list[int]) -> list[int]:
    """Instructions of a valid program lost, doubled or in other places."""
    changed = list(words)
    for _ in range(1 + _any(rng, 4)):
        here, there = _any(rng, len(changed)), _any(rng, len(changed))
        what = _any(rng, 3)
        if what == 0:
            changed[here], changed[there] = changed[there], changed[here]
        elif what == 1:
            changed.insert(there, changed[here])
        elif len(changed) > 1:
            del changed[here]
    return changed


def _same(rng: Rng, words: list[int]) -> list[int]:
    """The valid program: something else is wrong."""
    return words


#: By name, in the order in which cases take turns. ``data``: random parameters and pixels;
#: ``place``: registers of window and program with other values.
KINDS: dict[str, Callable[[Rng, list[int]], list[int]]] = {
    "fields": _fields,
    "headers": _headers,
    "bits": _bits,
    "order": _order,
    "invented": _invented,
    "random": _random,
    "data": _same,
    "place": _same,
}


def _any(rng: Rng, below: int) -> int:
    """0 to ``below`` - 1, each as likely; 0 if there is nothing to choose from."""
    return int(rng.integers(below)) if below > 1 else 0


def _value(rng: Rng, width: int) -> int:
    """A value of ``width`` bits, small ones and the largest more often than others."""
    if _any(rng, 8) == 0:
        return (1 << width) - 1
    return _any(rng, 1 << _any(rng, width + 1))


def _payload(op: Op) -> list[_Place]:
    # END has no fields: any bit behind its header
    return list(places(PAYLOAD[op], HEADER_BITS).values()) or [(HEADER_BITS, 1)]


def _get(word: int, place: _Place) -> int:
    at, width = place
    return word >> at & (1 << width) - 1


def _put(word: int, place: _Place, value: int) -> int:
    at, width = place
    mask = (1 << width) - 1
    return word & ~(mask << at) | (value & mask) << at
