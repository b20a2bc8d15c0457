"""The C header of program files and of names, from the tables that Python uses."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from hw.bus.widths import ADDR_BITS
from hw.host.register_map import UNIT_NAMES, Error
from hw.program.head import AXES, HEAD, HEAD_BYTES, MAGIC, TYPES, VERSION, offsets
from hw.program.program import WATCHDOG_MORE, WATCHDOG_TIMES


def program_header() -> str:
    """The text of ``potvit_program.h``."""
    types = [np.dtype(name) for name in TYPES]
    lines = [
        "/* Program files and names; generated, not to be edited. */",
        "#ifndef POTVIT_PROGRAM_H",
        "#define POTVIT_PROGRAM_H",
        "",
        f'#define POTVIT_MAGIC "{MAGIC.decode()}"',
        f"#define POTVIT_FORMAT {VERSION}u",
        f"#define POTVIT_HEAD_BYTES {HEAD_BYTES}u",
        f"#define POTVIT_AXES {AXES}u",
        f"#define POTVIT_ADDR_BITS {ADDR_BITS}u /* of the accelerator itself */",
        "",
        "/* A run is ended after so many times its predicted cycles and so many more. */",
        f"#define POTVIT_WATCHDOG_TIMES {WATCHDOG_TIMES}u",
        f"#define POTVIT_WATCHDOG_MORE {WATCHDOG_MORE}u",
        "",
        "/* Where each entry of the head begins; numbers are little-endian. */",
    ]
    at = offsets()
    for entry in HEAD:
        words = f"{entry.count} x {entry.kind}" if entry.count > 1 else entry.kind
        lines.append(
            f"#define POTVIT_HEAD_{entry.name.upper()} {at[entry.name]}u /* {words}: {entry.doc} */"
        )
    lines += [
        "",
        "/* Element types of an output, by number. */",
        f"#define POTVIT_TYPES {len(types)}u",
        f"#define POTVIT_TYPE_BYTES {_list(str(t.itemsize) for t in types)}",
        f"#define POTVIT_TYPE_SIGNED {_list(str(int(t.kind == 'i')) for t in types)}",
        "",
        f"#define POTVIT_ERROR_NAMES {_names(error.text for error in Error)}",
        f"#define POTVIT_UNIT_NAMES {_names(UNIT_NAMES)}",
        "",
        "#endif",
        "",
    ]
    return "\n".join(lines)


def _list(words: Iterable[str]) -> str:
    return "{" + ", ".join(words) + "}"


def _names(words: Iterable[str]) -> str:
    return _list(f'"{word}"' for word in words)
