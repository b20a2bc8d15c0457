"""Drain sequencer: the R rows of a finished tile with their destination addresses."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hw.array.tile import ADDR_BITS, tile_layout
from hw.config import Config
from hw.isa.instruction import Mem
from hw.lib.two_level_walk import TwoLevelWalk

PART_BITS = 7  # `sub` plus the number of a tile


def row_layout(config: Config) -> data.StructLayout:
    """One row of results: where it goes and what happens to it.

    ``valid`` one of the R rows of a tile; ``real`` it is to be written; ``number`` 0..R-1;
    ``masked`` logits whose constants may mark masked keys;
    ``addr``, ``lane``, ``part`` where `dest` wants them; ``token`` its index in the statistics;
    ``restart`` first tile; ``flush`` row R - 1 of the last tile; ``last`` row R - 1 of the
    instruction's last tile.
    """
    return data.StructLayout(
        {
            "valid": 1, "real": 1, "number": bits_for(config.rows - 1), "dest": 3, "gelu": 1,
            "const_old": 1, "masked": 1, "restart_stats": 1, "restart": 1, "flush": 1, "last": 1,
            "addr": ADDR_BITS, "lane": bits_for(config.cols - 1), "part": PART_BITS,
            "token": 11, "slot": 9, "cols": bits_for(config.cols),
        }
    )  # fmt: skip


class DrainSequencer(wiring.Component):
    """Walks the rows of one tile after another, never stalling.

    With ``load`` in cycle n (the record is on ``tile``) row r is on ``row`` in cycle n + 1 + r.
    Addresses step with the rows: row r of group g is index ``g*R + r`` of the instruction. Loads
    must be at least R cycles apart.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(
            {
                "load": In(1),
                "tile": In(tile_layout(config)),
                "row": Out(row_layout(config)),
                "fault": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        cfg, new, row = self.config, self.tile, self.row
        cur = Signal.like(new, reset_less=True)
        active, number, at_end = Signal(), Signal(range(cfg.rows)), Signal()
        m.d.comb += at_end.eq(number == cfg.rows - 1)
        with m.If(active):
            m.d.sync += number.eq(number + 1)
            with m.If(at_end):
                m.d.sync += active.eq(0)
        with m.If(self.load):
            m.d.sync += [cur.eq(new), active.eq(1), number.eq(0)]

        at = self._walk(m, cur, active, at_end)
        part, slot = self._numbers(m)
        real, only = Signal(), Signal()
        m.d.comb += [
            only.eq((number == 0) & cur.group_first),
            real.eq(active & (number < cur.rows) & ((cur.dest != Mem.OUT) | only)),
            row.valid.eq(active), row.real.eq(real), row.number.eq(number), row.dest.eq(cur.dest),
            row.gelu.eq(cur.gelu), row.const_old.eq(cur.const_old),
            row.masked.eq(cur.masked & cur.const_old & (cur.dest == Mem.LOGIT)),
            row.restart_stats.eq(cur.tile_first & cur.stats_init), row.restart.eq(cur.tile_first),
            row.flush.eq(at_end & cur.tile_last), row.last.eq(active & at_end & cur.instr_last),
            row.addr.eq(at.addr), row.lane.eq(at.lane), row.part.eq(part),
            row.token.eq(at.token), row.slot.eq(slot), row.cols.eq(cur.cols),
        ]  # fmt: skip
        m.d.sync += self.fault.eq(real & self._outside(cur.dest, row))
        return m

    def _walk(self, m: Module, cur: Any, active: Signal, at_end: Signal) -> Any:
        """The place of a row: all rows of the instruction make a line, output tiles lie across.

        With tiles outside a line is walked from end to end; with groups outside, group by group.
        """
        cfg, new = self.config, self.tile
        m.submodules.walk = walk = TwoLevelWalk(
            data.StructLayout({"addr": ADDR_BITS, "lane": bits_for(cfg.cols - 1), "token": 11})
        )
        jump, along, across = Signal(), Signal(ADDR_BITS), Signal(ADDR_BITS)
        m.d.comb += [
            walk.step.eq(active),
            walk.begin.eq(self.load & new.instr_first),
            jump.eq(self.load & ~new.instr_first),
            walk.resume.eq(jump & new.group_outer & new.tile_first),
            walk.cross.eq(jump & Mux(new.group_outer, ~new.tile_first, new.group_first)),
            walk.start.addr.eq(new.d_addr),
            walk.start.lane.eq(new.sub),
            walk.start.token.eq(new.token),
            walk.along.addr.eq(along),
            walk.along.lane.eq(1),
            walk.along.token.eq(1),
            walk.across.addr.eq(across),
        ]
        with m.Switch(cur.dest):
            with m.Case(Mem.RESIDUAL):
                m.d.comb += along.eq(cur.d_stride)
            with m.Case(Mem.VALUE):
                m.d.comb += along.eq(1)
            with m.Case(Mem.STREAM):
                m.d.comb += along.eq(Mux(walk.at.lane == cfg.cols - 1, cur.d_stride, 0))
            with m.Case(Mem.ACT, Mem.LOGIT):
                m.d.comb += along.eq(Mux(at_end, cur.d_stride, 0))
        with m.Switch(new.dest):
            with m.Case(Mem.OUT):
                m.d.comb += across.eq(1)
            with m.Case(Mem.VALUE):
                m.d.comb += across.eq(0)  # `part` tells the tiles apart
            with m.Default():
                m.d.comb += across.eq(new.d_step)
        return walk.at

    def _numbers(self, m: Module) -> tuple[Signal, Signal]:
        """Part of a VALUE word, which counts tiles, and slot of the maxima, which counts groups."""
        new = self.tile
        part, slot = Signal(PART_BITS), Signal(9)
        with m.If(self.load):
            with m.If(new.tile_first):
                m.d.sync += part.eq(new.sub)
            with m.Elif(new.group_outer | new.group_first):
                m.d.sync += part.eq(part + 1)
            with m.If(new.instr_first):
                m.d.sync += slot.eq(new.slot)
            with m.Elif(new.tile_first):
                m.d.sync += slot.eq(slot + 1)
        return part, slot

    def _outside(self, dest: Value, row: Any) -> Value:
        """Whether the row's address, part, token or slot exceeds its memory."""
        cfg = self.config
        limits = {
            Mem.ACT: cfg.act_words * cfg.tile_act_granules,
            Mem.STREAM: cfg.stream_words,
            Mem.VALUE: cfg.value_words,
            Mem.LOGIT: cfg.logit_words,
            Mem.RESIDUAL: cfg.residual_words,
            Mem.OUT: cfg.out_words,
        }
        past: Value = Const(0)
        for memory, words in limits.items():
            past |= (dest == memory) & (row.addr >= words)
        past |= (dest == Mem.VALUE) & (row.part >= cfg.head_lanes // cfg.cols)
        past |= (dest == Mem.LOGIT) & (row.slot >= cfg.slots)
        past |= (dest == Mem.RESIDUAL) & (row.token >= cfg.max_tokens)
        if cfg.cols != cfg.lanes:  # two words a row, in a pair
            past |= (dest == Mem.STREAM) & row.addr[0]
        return past
