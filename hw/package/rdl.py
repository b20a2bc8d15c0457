"""SystemRDL of the registers, generated from the map that the slave is made from.

`peakrdl` derives the C header, the HTML pages and the register part of the IP-XACT file from it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from hw.host.register_map import Error, Field, Register

#: Name of the address map, and with it the prefix of what is derived.
NAME = "potvit"

#: How software sees a field, by the register's access.
_SOFTWARE = {
    "ro": "sw = r; hw = w;",
    "rw": "sw = rw; hw = r;",
    "wo": "sw = w; hw = r; singlepulse;",
    "w1c": "sw = rw; onwrite = woclr; hw = w; hwset;",
}

_HEAD = """// Generated from the register map of PoTViT; not to be edited.

enum error_code {{
{errors}
}};

addrmap {name} {{
    name = {title};
    desc = "AXI4-Lite, 32 bits; SLVERR where there is no register or it cannot be written.";
    default regwidth = 32;
    default accesswidth = 32;
    littleendian;
    addressing = compact;
"""


def system_rdl(registers: Sequence[Register], title: str) -> str:
    """The text of ``potvit.rdl`` for ``registers`` in address order."""
    errors = "\n".join(
        f"    {error.name} = 8'd{error.value} {{ name = {_text(error.text)}; }};" for error in Error
    )
    parts = [_HEAD.format(errors=errors, name=NAME, title=_text(title))]
    parts += [_register(register) for register in registers]
    return "\n".join([*parts, "};", ""])


def _register(register: Register) -> str:
    lines = [
        "    reg {",
        f"        name = {_text(register.name)};",
        f"        desc = {_text(register.doc)};",
    ]
    lines += [_field(register, field) for field in register.fields or (_whole(register),)]
    return "\n".join([*lines, f"    }} {register.name} @ 0x{register.offset:03X};"])


def _whole(register: Register) -> Field:
    """The one field of a register that is a number."""
    return Field(name="value", at=0, bits=32, doc=register.doc)


def _field(register: Register, field: Field) -> str:
    software = _SOFTWARE[register.access]
    reset = 0
    if register.value is not None:
        software, reset = "sw = r; hw = na;", register.value
    live = register.access == "ro" and register.value is None
    encode = " encode = error_code;" if field.name == "code" else ""
    span = f"[{field.at + field.bits - 1}:{field.at}]"
    start = "" if live else f" = {field.bits}'h{reset:x}"
    return (
        f"        field {{ desc = {_text(field.doc)}; {software}{encode} }} "
        f"{field.name}{span}{start};"
    )


def _text(text: str) -> str:
    """``text`` as a string of SystemRDL."""
    return json.dumps(text, ensure_ascii=False)
