"""Rules of the AXI4 read channels between one master and one slave."""

from typing import Any

from amaranth.hdl import Mux, Signal

from hw.rules.axi_write_rules import BurstQueue, address_rules
from hw.rules.rule_set import RuleSet, Side
from hw.rules.stream_rules import held


class AxiReadRules(RuleSet):
    """Rules of `hw.bus.axi.AxiRead` signals ``bus``, ``bus_bytes`` wide, with one ID.

    Up to ``most`` bursts may be without all of their data.
    """

    def __init__(self, bus: Any, bus_bytes: int, most: int) -> None:
        super().__init__()
        ar, r = bus.ar, bus.r
        address_rules(self, "ar", ar, bus_bytes)
        held(self, "r", r, "A3.2.1, A3.2.2", Side.SLAVE)
        m = self.m
        queue = BurstQueue(self, "reads", most)
        beat, last = Signal(8), Signal()
        m.d.comb += last.eq(r.valid & r.ready & r.payload.last)
        queue.clock(ar.valid & ar.ready, ar.payload.len, last)
        with m.If(r.valid & r.ready):
            m.d.sync += beat.eq(Mux(r.payload.last, 0, beat + 1))
        #: Bursts that have been accepted and lack data.
        self.unanswered = queue.level
        self.keep("r_after_ar", "A3.3.1", Side.SLAVE, ~r.valid | (queue.level != 0))
        self.keep("r_last_at_the_end", "A3.4.1", Side.SLAVE,
                  ~r.valid | (r.payload.last == (beat == queue.head)))  # fmt: skip
        self.keep("ar_in_bounds", f"at most {most} here", Side.MASTER,
                  ~ar.valid | (queue.level != most))  # fmt: skip
        self.reach("whole_burst", last & (beat >= 3))
        self.reach("two_unanswered", queue.level == 2)
