"""The head of a program file: fixed offsets, for hosts that parse no text.

One table, `HEAD`, from which the writer, the reader and the C header of the driver are made. All
numbers are little-endian; texts are UTF-8, cut to fit, ended by a zero.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from golden.support.errors import PotvitError

MAGIC = b"PoTVprog"
VERSION = 1
#: Where parts of the file begin: multiples of this, so that a DMA engine may copy them.
ALIGN = 64
#: Most axes of the output's layout.
AXES = 8
#: Element types of an output, by their number in the head.
TYPES = ("int8", "uint8", "int32", "int16")

_CODES = {"u32": "I", "u64": "Q"}

Value = int | str | bytes | tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """``count`` numbers of ``kind`` (u32, u64), or ``count`` bytes of ``text`` or ``raw`` bytes."""

    name: str
    kind: str
    doc: str
    count: int = 1

    @property
    def code(self) -> str:
        """What `struct` calls it."""
        return f"{self.count}{_CODES.get(self.kind, 's')}"

    @property
    def size(self) -> int:
        """Bytes."""
        return struct.calcsize(f"<{self.code}")


def _part(name: str, what: str) -> tuple[Entry, ...]:
    return (
        Entry(name=f"{name}_offset", kind="u32", doc=f"where {what} begins in the file"),
        Entry(name=f"{name}_bytes", kind="u32", doc="its bytes"),
        Entry(name=f"{name}_crc", kind="u32", doc="its CRC-32 (IEEE 802.3, as zlib has it)"),
    )


def _region(name: str, what: str) -> tuple[Entry, ...]:
    return (
        Entry(name=f"{name}_at", kind="u32", doc=f"window offset of {what}"),
        Entry(name=f"{name}_size", kind="u32", doc="its bytes"),
    )


HEAD = (
    Entry(name="magic", kind="raw", count=8, doc=f"{MAGIC.decode()!r}"),
    Entry(name="version", kind="u32", doc="of this format"),
    Entry(name="head_bytes", kind="u32", doc="of this head"),
    Entry(name="head_crc", kind="u32", doc="CRC-32 of the head with zero in this place"),
    Entry(name="digest", kind="u32", doc="what CONFIG_DIGEST must read"),
    *_part("image", "the beginning of the window"),
    *_part("text", "the description in JSON"),
    Entry(name="window", kind="u32", doc="bytes of the DRAM window"),
    Entry(name="entry", kind="u32", doc="window offset of the first instruction"),
    Entry(name="count", kind="u32", doc="instructions, END included"),
    Entry(name="cycles", kind="u64", doc="predicted cycles of a run"),
    Entry(name="picture_shape", kind="u32", count=3, doc="rows, columns, channels (uint8 each)"),
    *_region("parameters", "parameters (part of the image)"),
    *_region("program", "instructions (part of the image)"),
    *_region("picture", "the picture"),
    *_region("spill", "tensors without room on chip"),
    *_region("outputs", "results"),
    Entry(name="output_at", kind="u32", doc="window offset of the output's memory words"),
    Entry(name="output_words", kind="u32", doc="memory words of the output"),
    Entry(name="output_word_bytes", kind="u32", doc="bytes of a word that count"),
    Entry(name="output_pitch", kind="u32", doc="bytes from word to word"),
    Entry(name="output_type", kind="u32", doc=", ".join(f"{i} {t}" for i, t in enumerate(TYPES))),
    Entry(name="output_count", kind="u32", doc="elements of the output"),
    Entry(name="output_axes", kind="u32", doc="axes of the words' elements"),
    Entry(name="output_dims", kind="u32", count=AXES, doc="their lengths"),
    Entry(name="output_order", kind="u32", count=AXES, doc="the axes in the tensor's order"),
    Entry(name="output_rank", kind="u32", doc="axes of the tensor, some of them merged"),
    Entry(name="output_merged", kind="u32", count=AXES, doc="their lengths with padding"),
    Entry(name="output_crop", kind="u32", count=AXES, doc="and without"),
    Entry(name="config", kind="text", count=96, doc="name of the configuration"),
    Entry(name="model", kind="text", count=64, doc="name of the model"),
    Entry(name="output", kind="text", count=32, doc="name of the output"),
)

_FORMAT = "<" + "".join(entry.code for entry in HEAD)
HEAD_BYTES = struct.calcsize(_FORMAT)


def offsets() -> dict[str, int]:
    """Byte offset of every entry."""
    found, at = {}, 0
    for entry in HEAD:
        found[entry.name] = at
        at += entry.size
    return found


def pack(values: dict[str, Value]) -> bytes:
    """The bytes of a head; shorter lists are filled with zeros, longer texts are cut.

    Raises:
        PotvitError: a number or a list that the head has no room for.
    """
    flat: list[int | bytes] = []
    for entry in HEAD:
        value = values[entry.name]
        if isinstance(value, str):
            value = value.encode()[: entry.count - 1].decode(errors="ignore").encode()
        if isinstance(value, bytes):
            flat.append(value)
            continue
        numbers = (value,) if isinstance(value, int) else value
        if len(numbers) > entry.count:
            raise PotvitError(f"a program file has no room for {len(numbers)} {entry.name}")
        flat += [*numbers, *[0] * (entry.count - len(numbers))]
    try:
        return struct.pack(_FORMAT, *flat)
    except struct.error as error:
        raise PotvitError(f"a program file has no room for its numbers ({error})") from None


def unpack(raw: bytes) -> dict[str, Value]:
    """The entries of the head that ``raw`` begins with; texts without their zeros."""
    flat = iter(struct.unpack_from(_FORMAT, raw))
    values: dict[str, Value] = {}
    for entry in HEAD:
        if entry.kind == "raw":
            values[entry.name] = next(flat)
        elif entry.kind == "text":
            values[entry.name] = next(flat).partition(b"\0")[0].decode(errors="replace")
        elif entry.count == 1:
            values[entry.name] = next(flat)
        else:
            values[entry.name] = tuple(next(flat) for _ in range(entry.count))
    return values
