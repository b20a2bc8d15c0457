"""The register map for others to read: JSON, and the table of the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hw.host.register_map import Field, Register

_PREFACE = """# Registers

AXI4-Lite, 32 bits; SLVERR where there is no register or it cannot be written. Addresses are bytes.
Access: `ro` read, `rw` read and write, `wo` write pulses, `w1c` write ones to clear. Counters
have 64 bits: read the low half at the offset given, then the high half 4 bytes further. They
start from zero with each run and stop at its end.

`<unit>_busy` counts cycles with work, `<unit>_stall_<cause>` cycles the unit could not go on,
`<unit>_wait_<producer>` cycles it was ready but its next instruction waited for that producer's
signals, `<unit>_starved` cycles it was ready and its queue empty.

Written by `python -m hw verilog`; the counters depend on no parameter.
"""


def as_json(found: Sequence[Register]) -> list[dict[str, Any]]:
    """The map for ``potvit.json``."""
    return [
        {
            "name": r.name,
            "offset": r.offset,
            "access": r.access,
            "doc": r.doc,
            **({} if r.value is None else {"value": r.value}),
            "fields": [{"name": f.name, "at": f.at, "bits": f.bits, "doc": f.doc}
                       for f in r.fields],
        }
        for r in found
    ]  # fmt: skip


def as_markdown(found: Sequence[Register]) -> str:
    """The page for the documentation; a counter takes one line for its two halves."""
    lines = [_PREFACE, "| offset | register | access | meaning |", "|---|---|---|---|"]
    for r in found:
        name = r.name
        if name.startswith("COUNT_"):
            if name.endswith("_HI"):
                continue
            name = name.removesuffix("_LO")
        bits = "; ".join(f"`{f.name}` [{_span(f)}] {f.doc}" for f in r.fields)
        text = r.doc.split(", low half;")[0] + (f": {bits}" if bits else "")
        lines.append(f"| 0x{r.offset:03X} | {name} | {r.access} | {text} |")
    return "\n".join(lines) + "\n"


def _span(field: Field) -> str:
    last = field.at + field.bits - 1
    return f"{last}:{field.at}" if last != field.at else str(last)
