"""What the performance counters count, as one layout: a counter has the name of a field's path."""

from __future__ import annotations

from collections.abc import Mapping

from amaranth.hdl import Shape
from amaranth.lib import data

from hw.config import Config
from hw.isa.instruction import Unit


def event_layout(
    config: Config, macs_bits: int, stalls: Mapping[Unit, data.StructLayout]
) -> data.StructLayout:
    """Increments of one cycle: of the whole accelerator, then of every unit.

    ``macs_bits`` is the width of the useful products of a cycle, ``stalls`` the causes by which a
    unit says that it cannot go on. ``wait`` names the producer for whose signals a unit waits.
    """
    bytes_bits = config.axi_bytes.bit_length()
    units = {
        u.name.lower(): data.StructLayout(
            {
                "busy": 1,
                "stall": stalls[u],
                "wait": data.StructLayout({p.name.lower(): 1 for p in Unit if p is not u}),
                "starved": 1,
            }
        )
        for u in Unit
    }
    whole = {"macs": macs_bits, "instructions": 1, "read_bytes": bytes_bits}
    return data.StructLayout({**whole, "write_bytes": bytes_bits, **units})


def counter_widths(events: data.StructLayout) -> dict[str, int]:
    """Name of every counter (its path in ``events``, joined by ``_``) to its increment's width.

    In the order of their bits, which is that of their registers.
    """
    widths: dict[str, int] = {}
    for name, shape in events.members.items():
        if isinstance(shape, data.StructLayout):
            widths |= {f"{name}_{k}": width for k, width in counter_widths(shape).items()}
        else:
            widths[name] = Shape.cast(shape).width
    return widths
