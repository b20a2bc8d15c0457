"""What every DMA master has beside its AXI port: bounds, an end in good order, its faults."""

from __future__ import annotations

from amaranth.lib.wiring import In, Out, Signature

from hw.bus.burst import LIMIT_BITS
from hw.bus.widths import ADDR_BITS


class WindowPort(Signature):
    """Where masters may go, seen from who decides it.

    ``base``, ``limit`` : first byte and size in bytes of the DRAM window, constant during a run.
    """

    def __init__(self) -> None:
        super().__init__({"base": Out(ADDR_BITS), "limit": Out(LIMIT_BITS)})


class MasterPort(Signature):
    """A DMA master, seen from the master: its `WindowPort`, and how it ends.

    ``stop`` : no new burst from the next cycle on; those under way end as the bus demands.
    ``quiet`` : stopped, and no burst is unanswered. ``window_fault`` : a burst would have left
    the window; none was issued. ``bus_fault`` : the bus answered with an error.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                **WindowPort().flip().members,
                "stop": In(1),
                "quiet": Out(1),
                "window_fault": Out(1),
                "bus_fault": Out(1),
            }
        )
