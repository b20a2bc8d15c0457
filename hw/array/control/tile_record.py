"""Size of the tile at hand, and the record of the one that was finished, for the drain."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.array.control.loop_nest import TURN
from hw.array.tile import DRAIN_FIELDS, tile_layout
from hw.config import Config
from hw.isa.instruction import Op
from hw.isa.layouts import fields_layout

#: The fields of an instruction that describe its results.
RESULTS = fields_layout(Op.MATMUL, (*DRAIN_FIELDS, "rows_last", "cols_last", "zero_first"))


class TileRecord(wiring.Component):
    """Says how large the tile at hand is, and what the drain does with the last one issued.

    All row groups but the last have R rows, all output tiles but the last Cn columns.

    Members
    -------
    begin : pulse; the instruction with these ``results`` starts in the next cycle.
    group, tile : where it stands, as of `LoopNest`; ``last`` : at its last chunk.
    finish : the last chunk of the tile at hand is issued.
    rows, cols : real rows and columns of the tile at hand.
    zero_row : its row 0 counts as zero.
    record : of the tile finished last, from the cycle after ``finish`` on.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(
            {
                "begin": In(1),
                "results": In(RESULTS),
                "group": In(TURN),
                "tile": In(TURN),
                "last": In(1),
                "finish": In(1),
                "rows": Out(range(config.rows + 1)),
                "cols": Out(range(config.cols + 1)),
                "zero_row": Out(1),
                "record": Out(tile_layout(config)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        cfg, record = self.config, self.record
        cur = Signal(RESULTS, reset_less=True)
        with m.If(self.begin):
            m.d.sync += cur.eq(self.results)
        m.d.comb += [
            self.rows.eq(Mux(self.group.last, cur.rows_last, cfg.rows)),
            self.cols.eq(Mux(self.tile.last, cur.cols_last, cfg.cols)),
            self.zero_row.eq(cur.zero_first & self.group.first),
        ]
        with m.If(self.finish):
            m.d.sync += [record[name].eq(cur[name]) for name in DRAIN_FIELDS]
            m.d.sync += [
                record.rows.eq(self.rows),
                record.cols.eq(self.cols),
                record.instr_first.eq(self.group.first & self.tile.first),
                record.instr_last.eq(self.last),
                record.group_first.eq(self.group.first),
                record.tile_first.eq(self.tile.first),
                record.tile_last.eq(self.tile.last),
            ]
        return m
