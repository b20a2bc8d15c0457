"""ReadIssuer: constants are asked for only as long as their FIFO has room for all of them."""

from typing import Any

from amaranth.hdl import Mux, Signal

from formal.kit.proof import Bench, Mutant, Proof
from hw.bus.axi import AxiRead
from hw.config import preset
from hw.dma.read_issuer import ReadIssuer
from hw.rules.axi_read_rules import AxiReadRules
from hw.rules.rule_set import Side

OUTSTANDING, ROWS, BURST = 2, 4, 2


class ReadIssuerProof(Proof):
    """What the FIFO holds and what is under way never exceeds it; at most so many bursts at once.

    Bounded: the FIFO fills, empties and fills again within the depth (covers).
    """

    unit = "read_issuer"
    target = ReadIssuer
    depth = 13
    reach = 13
    mutants = (
        Mutant(old="room.eq(~constant |", new="room.eq(1 |"),
        Mutant(old="Mux(fire & constant, cost, 0)", new="Mux(fire & constant, 1, 0)"),
        Mutant(old="Mux(freed, max(units_per_row, units_per_beat), 0)", new="Mux(freed, 2, 0)"),
        Mutant(old="(waiting != config.outstanding) & ~self.stop", new="~self.stop"),
    )

    def bench(self, target: Any) -> Bench:
        """A bus that keeps the rules, and a FIFO that is emptied as it likes; constants only."""
        bench = Bench()
        m = bench.m
        config = preset("tiny").change(
            outstanding=OUTSTANDING, burst_beats=BURST, const_rows=ROWS, max_channels=64
        )
        assert config.const_bytes == config.axi_bytes, "a beat is a row here"
        m.submodules.unit = unit = target(config)
        bus = AxiRead(config.axi_bytes).create(path=("bus",))
        level, under_way = Signal(range(2 * ROWS)), Signal(range(4 * ROWS))
        pop, beat = bench.free("pop"), Signal()
        ar, r = bus.ar, bus.r
        job = unit.i.payload
        m.d.comb += [
            unit.base.eq(0), unit.limit.eq(1 << 12), unit.stop.eq(bench.free("stop")),
            unit.i.valid.eq(bench.free("offered")), job.constant.eq(1),
            job.ranges.runs.eq(1), job.ranges.beats.eq(bench.free("beats", 3)),
            ar.valid.eq(unit.ar.valid), ar.payload.eq(unit.ar.payload),
            ar.ready.eq(bench.free("ar_ready")), unit.ar.ready.eq(ar.ready),
            r.valid.eq(bench.free("r_valid")), r.ready.eq(1),
            r.payload.last.eq(bench.free("r_last")),
            beat.eq(r.valid & r.ready), unit.ended.eq(beat & r.payload.last),
            unit.const_freed.eq(beat), unit.const_room.eq(ROWS - level),
        ]  # fmt: skip
        taken = Mux(ar.valid & ar.ready, ar.payload.len + 1, 0)
        m.d.sync += [
            level.eq(level + beat - (pop & (level != 0))),
            under_way.eq(under_way + taken - beat),
        ]
        bench.check("axi", AxiReadRules(bus, config.axi_bytes, OUTSTANDING), Side.MASTER,
                    skip=("ar_long_burst", "whole_burst", "r_waits"))  # fmt: skip
        bench.promise("room_for_all", level + under_way <= ROWS)
        bench.promise("quiet", unit.pending | (under_way == 0))
        bench.cover("full", level == ROWS)
        bench.cover("waits_for_room", unit.starved & (under_way == 0) & (level == 3))
        return bench
