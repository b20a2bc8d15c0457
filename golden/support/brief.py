"""Short texts for records that hold weights, programs or long lists."""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import fields
from typing import Any

#: Longest text of one value that is shown as it is.
_ROOM = 60


def brief(record: Any) -> str:
    """The dataclass ``record`` on one line: arrays by type and shape, long values by their size.

    Meant for ``__repr__``: what a debugger and a notebook print.
    """
    shown = (
        f"{field.name}={_value(getattr(record, field.name))}"
        for field in fields(record)
        if field.repr
    )
    return f"{type(record).__name__}({', '.join(shown)})"


def _value(value: Any) -> str:
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, Sized) and not isinstance(value, str) and len(value) > _ROOM:
        return f"<{type(value).__name__} of {len(value)}>"
    text = " ".join(repr(value).split())
    if len(text) <= _ROOM:
        return text
    size = f" of {len(value)}" if isinstance(value, Sized) else ""
    return f"<{type(value).__name__}{size}>"
