"""A program as one file: head (`hw.program.head`), image, description.

The head tells a driver everything by fixed offsets; the description, JSON behind the image, has the
rest. A file that is cut, altered, of another format or no program at all is refused with the
reason, and appears complete or not at all.
"""

from __future__ import annotations

import json
import math
import zlib
from pathlib import Path
from typing import Any

from golden.support.errors import PotvitError
from golden.support.whole_file import write_whole
from hw.lib.numbers import round_up
from hw.program.head import ALIGN, HEAD_BYTES, MAGIC, TYPES, VERSION, Value, offsets, pack, unpack
from hw.program.program import Checkpoint, LayerCycles, Layout, Program
from hw.program.regions import Extent, Region

#: The suffix that program files have by custom; any will do.
SUFFIX = ".potvit"


def to_bytes(program: Program) -> bytes:
    """The file's content."""
    text = json.dumps(program.description()).encode()
    image_at = round_up(HEAD_BYTES, ALIGN)
    text_at = round_up(image_at + len(program.image), ALIGN)
    head = _head(program, text, image_at, text_at)
    content = bytearray(text_at + len(text))
    content[:HEAD_BYTES] = head
    content[image_at : image_at + len(program.image)] = program.image
    content[text_at:] = text
    return bytes(content)


def save_program(program: Program, path: Path) -> None:
    """Write ``program`` to ``path``, whole or not at all; ``PotvitError`` if that cannot be."""
    content = to_bytes(program)
    try:
        if path.is_dir():
            raise PotvitError(f"{path} is a folder: a program is one file (NAME{SUFFIX})")
        write_whole(path, content)
    except OSError as error:
        raise PotvitError(f"cannot write the program to {path}: {error.strerror}") from None


def load_program(path: Path) -> Program:
    """Read what `save_program` wrote; ``PotvitError`` with the reason for anything else."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise PotvitError(f"cannot read a program from {path}: {error.strerror}") from None
    return from_bytes(raw, str(path))


def from_bytes(raw: bytes, name: str = "the program file") -> Program:
    """The program in a file's content; ``name`` is the file's in errors, as in `load_program`."""
    if raw[: len(MAGIC)] != MAGIC:
        raise PotvitError(f"{name} is no program file: `potvit compile` writes one")
    if len(raw) < HEAD_BYTES:
        raise PotvitError(f"{name} is cut in its head: copy or compile it again")
    head = unpack(raw)
    if (version := _number(head, "version")) != VERSION:
        raise PotvitError(
            f"{name} is of format {version}, this release reads {VERSION}: compile it again"
        )
    parts = {}
    for part in ("image", "text"):
        at, size = _number(head, f"{part}_offset"), _number(head, f"{part}_bytes")
        parts[part] = raw[at : at + size]
        if len(parts[part]) != size:
            raise PotvitError(f"{name} is cut in its {part}: copy or compile it again")
    crcs = {"head": _head_crc(raw), **{part: zlib.crc32(raw) for part, raw in parts.items()}}
    for part, crc in crcs.items():
        if crc != head[f"{part}_crc"]:
            raise PotvitError(f"{name} is altered in its {part}: copy or compile it again")
    try:
        return _program(parts["image"], json.loads(parts["text"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise PotvitError(f"{name} has another release's description: compile it again") from None


def _number(head: dict[str, Value], name: str) -> int:
    value = head[name]
    assert isinstance(value, int)
    return value


def _head(program: Program, text: bytes, image_at: int, text_at: int) -> bytes:
    """The head of ``program``, its own checksum last."""
    output = program.logits
    values: dict[str, Value] = {
        "magic": MAGIC,
        "version": VERSION,
        "head_bytes": HEAD_BYTES,
        "head_crc": 0,
        "digest": program.digest,
        "image_offset": image_at,
        "image_bytes": len(program.image),
        "image_crc": zlib.crc32(program.image),
        "text_offset": text_at,
        "text_bytes": len(text),
        "text_crc": zlib.crc32(text),
        "window": program.window,
        "entry": program.entry,
        "count": program.count,
        "cycles": program.cycles,
        "picture_shape": program.input_shape,
        "output_at": output.offset,
        "output_words": output.words,
        "output_word_bytes": output.word_bytes,
        "output_pitch": output.pitch,
        "output_type": TYPES.index(output.dtype),
        "output_count": math.prod(output.shape),
        "output_axes": len(output.dims),
        "output_dims": output.dims,
        "output_order": output.order,
        "output_rank": len(output.merged),
        "output_merged": output.merged,
        "output_crop": output.crop,
        "config": program.config,
        "model": program.model,
        "output": program.output,
    }
    for region, extent in program.regions.items():
        values[f"{region}_at"], values[f"{region}_size"] = extent.offset, extent.size
    values["head_crc"] = zlib.crc32(pack(values))
    return pack(values)


def _head_crc(raw: bytes) -> int:
    """What the head's checksum must be."""
    head, at = bytearray(raw[:HEAD_BYTES]), offsets()["head_crc"]
    head[at : at + 4] = bytes(4)
    return zlib.crc32(head)


def _program(image: bytes, plain: dict[str, Any]) -> Program:
    """The program that `Program.description` described."""
    plain["input_shape"] = tuple(plain["input_shape"])
    plain["memory"] = {k: tuple(v) for k, v in plain["memory"].items()}
    plain["reasons"] = tuple(plain["reasons"])
    plain["timeline"] = tuple(tuple(x) for x in plain["timeline"])
    plain["layers"] = tuple(LayerCycles(**x) for x in plain["layers"])
    plain["regions"] = {Region(n): Extent(**extent) for n, extent in plain["regions"].items()}
    plain["logits"] = _layout(plain["logits"])
    plain["more"] = tuple(_layout(result) for result in plain["more"])
    plain["checkpoints"] = tuple(
        Checkpoint(name=c["name"], layout=_layout(c["layout"])) for c in plain["checkpoints"]
    )
    return Program(image=image, **plain)


def _layout(plain: dict[str, Any]) -> Layout:
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()}
    return Layout(**fields)
