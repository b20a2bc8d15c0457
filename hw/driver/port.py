"""How a driver reaches an accelerator and its DRAM."""

from __future__ import annotations

from typing import Protocol


class Port(Protocol):
    """Registers by byte offset, DRAM by the address that the accelerator sees.

    `hw.driver.mapped` has it for mapped memory, `sim.system.served` for the simulated system.
    """

    def read(self, offset: int) -> int:
        """The 32-bit register at ``offset``."""
        ...

    def write(self, offset: int, value: int) -> None:
        """Write the 32-bit register at ``offset``."""
        ...

    def put(self, address: int, data: bytes) -> None:
        """Copy ``data`` to DRAM."""
        ...

    def get(self, address: int, size: int) -> bytes:
        """``size`` bytes of DRAM."""
        ...

    def pause(self) -> None:
        """Called between two looks at STATUS while a run goes on: wait a while, or nothing."""
        ...
