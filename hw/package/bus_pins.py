"""How the accelerator's pins form bus interfaces: one table for the top and for IP-XACT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: Pins of the top that its inside does not have, or has the other way round.
CLOCK, RESET, INTERRUPT = "aclk", "aresetn", "irq"


@dataclass(frozen=True, kw_only=True)
class Pin:
    """One port of the top: ``width`` bits, ``direction`` input or output."""

    name: str
    width: int
    direction: str


@dataclass(frozen=True, kw_only=True)
class Interface:
    """A bus interface: its ``pins`` are the ports whose name begins with its own."""

    name: str
    role: str  #: ``master`` or ``slave``
    pins: tuple[Pin, ...]

    def logical(self, pin: Pin) -> str:
        """The AXI specification's name of a pin."""
        return pin.name.removeprefix(f"{self.name}_").upper()


def top_pins(description: dict[str, Any]) -> tuple[Pin, ...]:
    """Ports of the top in order, from ``potvit.json``: clock and reset have AXI's names."""
    renamed = {"clk": CLOCK, "rst": RESET}
    return tuple(
        Pin(name=renamed.get(p["name"], p["name"]), width=p["width"], direction=p["direction"])
        for p in description["ports"]
    )


def interfaces(pins: tuple[Pin, ...]) -> tuple[Interface, ...]:
    """The AXI interfaces among ``pins``."""
    roles = {"s_axil": "slave", "m_axi": "master"}
    return tuple(
        Interface(
            name=name, role=role, pins=tuple(p for p in pins if p.name.startswith(f"{name}_"))
        )
        for name, role in roles.items()
    )
