"""Address side of the LOAD unit: bursts within limits of the bus and of the constant FIFO."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.bus.axi import address_layout
from hw.bus.burst import LIMIT_BITS, BurstSplitter
from hw.bus.ranges import RangeWalk, ranges_layout
from hw.bus.widths import ADDR_BITS
from hw.config import Config
from hw.isa.payload import Load

#: Width of a range's length.
BEATS_BITS = Load.width("beats")


class ReadIssuer(wiring.Component):
    """Issues the read bursts of ranges, at most ``outstanding`` of them unanswered.

    Bursts of ``constant`` ranges also wait until ``const_room`` covers them and all constants
    under way. Credits count whichever is smaller, a beat or a FIFO row.

    Members
    -------
    base, limit, outside, misaligned : as for `BurstSplitter`.
    i : ranges of the window.
    ar : AXI read addresses, never withdrawn, also after ``stop``.
    ended : the last beat of a burst is taken.
    const_room : free rows; ``const_freed`` : a beat (or, where it is longer, a row) of constants
        has gone into the FIFO.
    idle : no range in work or to come; ``pending`` : bursts are unanswered; ``starved`` : waits for
        room.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        job = data.StructLayout({"ranges": ranges_layout(BEATS_BITS), "constant": 1})
        super().__init__(
            {
                "base": In(ADDR_BITS),
                "limit": In(LIMIT_BITS),
                "i": In(stream.Signature(job)),
                "stop": In(1),
                "ar": Out(stream.Signature(address_layout())),
                "ended": In(1),
                "const_room": In(range(config.const_rows + 1)),
                "const_freed": In(1),
                "idle": Out(1),
                "pending": Out(1),
                "starved": Out(1),
                "outside": Out(1),
                "misaligned": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        m.submodules.ranges = ranges = RangeWalk(BEATS_BITS, config.axi_bytes)
        m.submodules.splitter = splitter = BurstSplitter(config, BEATS_BITS)
        wiring.connect(m, ranges.o, splitter.i)
        constant = Signal()
        m.d.comb += [
            splitter.base.eq(self.base),
            splitter.limit.eq(self.limit),
            ranges.i.valid.eq(self.i.valid),
            ranges.i.p.eq(self.i.p.ranges),
            self.i.ready.eq(ranges.i.ready),
            self.idle.eq(splitter.idle & ~ranges.more),
            self.outside.eq(splitter.outside),
            self.misaligned.eq(splitter.misaligned),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += constant.eq(self.i.p.constant)

        waiting = Signal(range(config.outstanding + 1))
        units_per_row = max(1, config.const_bytes // config.axi_bytes)
        units_per_beat = max(1, config.axi_bytes // config.const_bytes)
        capacity = config.const_rows * units_per_row
        reserved, cost, room = Signal(range(capacity + 1)), Signal(16), Signal()
        fire, taken, freed = Signal(), Signal(), Signal()
        m.d.comb += [
            cost.eq((splitter.o.p.address.len + 1) * units_per_beat),
            room.eq(~constant | (reserved + cost <= self.const_room * units_per_row)),
            taken.eq(~self.ar.valid | self.ar.ready),
            splitter.o.ready.eq(taken & room & (waiting != config.outstanding) & ~self.stop),
            fire.eq(splitter.o.valid & splitter.o.ready),
            self.pending.eq(waiting != 0),
            self.starved.eq(splitter.o.valid & ~room),
        ]
        m.d.sync += [
            waiting.eq(waiting + fire - self.ended),
            # A cycle later than the FIFO counts the row: the two never miss one between them.
            freed.eq(self.const_freed),
            reserved.eq(
                reserved
                + Mux(fire & constant, cost, 0)
                - Mux(freed, max(units_per_row, units_per_beat), 0)
            ),
        ]
        address = Signal.like(self.ar.p, reset_less=True)
        m.d.comb += self.ar.p.eq(address)
        with m.If(taken):
            m.d.sync += [self.ar.valid.eq(fire), address.eq(splitter.o.p.address)]
        return m
