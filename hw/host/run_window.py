"""Window of a run: what the registers held when it began, and whether a run may use it."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring

from hw.bus.dma_port import WindowPort
from hw.bus.widths import ADDR_BITS
from hw.config import Config
from hw.host.ports import PlacePort, VerdictPort


class RunWindow(wiring.Component):
    """Keeps base and size of the window from ``take`` to the next ``take``.

    A host may so write the registers of the next run while one is going on. The two verdicts are
    there from the cycle after ``take``.

    Members
    -------
    `PlacePort` : what the registers hold; kept at ``take``.
    `WindowPort` : the window of the run.
    illegal_window : the base is no multiple of the bus width, or the window ends beyond the
        address space (base + size > 2**40, or of the bus if that is narrower; a sum that wraps
        would let a burst start at address 0).
    illegal_program : the program's offset is no multiple of the bus width.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(
            {
                **PlacePort().flip().members,
                **VerdictPort().members,
                **WindowPort().members,
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        size = (self.config.axi_bytes - 1).bit_length()
        ragged = Signal(size)
        end = Signal(ADDR_BITS + 1)
        space = min(ADDR_BITS, self.config.axi_addr_bits)
        with m.If(self.take):
            m.d.sync += [
                self.base.eq(self.window_base),
                self.limit.eq(self.window_size),
                ragged.eq(self.program_offset),
            ]
        m.d.comb += [
            end.eq(self.base + self.limit),
            self.illegal_window.eq((end > 1 << space) | self.base[:size].any()),
            self.illegal_program.eq(ragged.any()),
        ]
        return m
