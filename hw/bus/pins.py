"""AXI channels as flat ports with the names of the specification, as Verilog is to show them.

A stream nested in a signature becomes ``m_axi__ar__payload__addr`` in Verilog; a bus of a chip is
``m_axi_araddr``. Only here are such names put together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Module, ShapeLike
from amaranth.lib.wiring import Component, In, Member, Out, Signature

#: The address channels of a master.
ADDRESSES = ("ar", "aw")


def pin_members(
    prefix: str, bus: Signature, widths: Mapping[str, int] | None = None
) -> dict[str, Member]:
    """Ports ``<prefix>_<channel><field>`` of ``bus``, a bundle of streams of struct layouts.

    ``widths`` : bits of fields that are narrower or wider on the pins.
    """
    pins: dict[str, Member] = {}
    for channel, member in bus.members.items():
        forth, back = (In, Out) if member.flow == In else (Out, In)
        for name, shape in _fields(member).items():
            pins[f"{prefix}_{channel}{name}"] = forth((widths or {}).get(name, shape))
        pins[f"{prefix}_{channel}valid"] = forth(1)
        pins[f"{prefix}_{channel}ready"] = back(1)
    return pins


def constant_members(prefix: str, widths: Mapping[str, int]) -> dict[str, Member]:
    """Ports of a master's two address channels that never change, with their ``widths``."""
    return {f"{prefix}_{c}{name}": Out(bits) for c in ADDRESSES for name, bits in widths.items()}


def connect_pins(m: Module, component: Component, prefix: str, bus: Any) -> None:
    """Connect the interface ``bus`` to the ports that `pin_members` gave ``component``."""
    pins = {name: getattr(component, name) for name in pin_members(prefix, bus.signature)}
    for channel, member in bus.signature.members.items():
        port = getattr(bus, channel)
        pairs = {name: port.payload[name] for name in _fields(member)} | {"valid": port.valid}
        for name, inner in pairs.items():
            pin = pins[f"{prefix}_{channel}{name}"]
            m.d.comb += inner.eq(pin) if member.flow == In else pin.eq(inner)
        ready = pins[f"{prefix}_{channel}ready"]
        m.d.comb += ready.eq(port.ready) if member.flow == In else port.ready.eq(ready)


def drive_constants(
    m: Module, component: Component, prefix: str, values: Mapping[str, int]
) -> None:
    """Drive the ports that `constant_members` gave ``component``."""
    for channel in ADDRESSES:
        for name, value in values.items():
            m.d.comb += getattr(component, f"{prefix}_{channel}{name}").eq(value)


def _fields(channel: Member) -> Mapping[str, ShapeLike]:
    """Names and shapes of a channel's payload."""
    members: Mapping[str, ShapeLike] = channel.signature.members["payload"].shape.members
    return members
