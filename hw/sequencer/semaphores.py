"""Counting semaphores between units: ``[p][c]`` counts what producer p has signalled to c."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.isa.instruction import HEADER, Unit
from hw.isa.limits import SEMAPHORE_BITS

WAIT_BITS = dict(HEADER)["wait_load"]
UNITS = len(Unit)

#: Wait counts of one instruction, one per producer unit.
WAITS = data.ArrayLayout(WAIT_BITS, UNITS)


class Semaphores(wiring.Component):
    """25 counters of ``SEMAPHORE_BITS`` bits.

    Members
    -------
    signal[p] : masks of consumers that unit p signals in this cycle (0: none); seen by ``fits``
        in the next cycle.
    wait[c], fits[c] : wait counts of c's next instruction, and for each producer whether its
        counter covers them (combinational).
    take[c] : subtract ``wait[c]`` from c's counters in this cycle (only while all ``fits``).
    overflow : pulse; a counter was at its limit and was signalled once more (it stays there).
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "signal": In(UNITS).array(UNITS),
                "wait": In(WAITS).array(UNITS),
                "fits": Out(UNITS).array(UNITS),
                "take": In(1).array(UNITS),
                "overflow": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        overflows = []
        for c in range(UNITS):
            for p in range(UNITS):
                count = Signal(SEMAPHORE_BITS, name=f"count_{p}_{c}")
                rest, full = Signal(SEMAPHORE_BITS), Signal()
                m.d.comb += [
                    self.fits[c][p].eq(count >= self.wait[c][p]),
                    rest.eq(count - Mux(self.take[c], self.wait[c][p], 0)),
                    # What the sum's carry would say, without waiting for the sum.
                    full.eq(
                        count.all() & self.signal[p][c] & ~(self.take[c] & self.wait[c][p].any())
                    ),
                ]
                m.d.sync += count.eq(Mux(full, count, rest + self.signal[p][c]))
                overflows.append(full)
        m.d.comb += self.overflow.eq(Cat(overflows).any())
        return m
