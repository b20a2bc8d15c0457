"""The three loops of a MATMUL: chunks of a tile, and tiles and row groups in either order."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.isa.instruction import Op
from hw.isa.layouts import fields_layout
from hw.lib.loop_counter import LoopCounter

#: The fields of an instruction that say how often each loop turns, and which is outside.
LOOPS = fields_layout(Op.MATMUL, ("chunks", "groups", "tiles", "group_outer"))

#: One loop: its first and its last turn, and whether this cycle ends the turn.
TURN = data.StructLayout({"first": 1, "last": 1, "step": 1})


class LoopNest(wiring.Component):
    """Where in an instruction the chunk at hand stands.

    Chunks are innermost. With ``group_outer`` a row group goes through all output tiles before the
    next one begins, otherwise a tile through all groups.

    Members
    -------
    begin : pulse; the instruction with these ``loops`` starts in the next cycle.
    step : the chunk at hand is issued; the next one is at hand in the next cycle.
    chunk, group, tile : the turns of the loops (`TURN`). A loop outside others steps with their
        last turn's last chunk, so ``step`` of a loop that is at its ``last`` turn starts it again.
    last : the instruction's last chunk.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "begin": In(1),
                "loops": In(LOOPS),
                "step": In(1),
                "chunk": Out(TURN),
                "group": Out(TURN),
                "tile": Out(TURN),
                "last": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        for name in ("chunk", "group", "tile"):
            total, turn = self.loops[f"{name}s"], getattr(self, name)
            m.submodules[name] = loop = LoopCounter(len(total))
            m.d.comb += [
                loop.begin.eq(self.begin),
                loop.turns.eq(total),
                loop.step.eq(turn.step),
                turn.first.eq(loop.first),
                turn.last.eq(loop.last),
            ]
        group_outer, tile_ends = Signal(), Signal()
        with m.If(self.begin):
            m.d.sync += group_outer.eq(self.loops.group_outer)
        m.d.comb += [
            tile_ends.eq(self.step & self.chunk.last),
            self.chunk.step.eq(self.step),
            self.group.step.eq(tile_ends & (~group_outer | self.tile.last)),
            self.tile.step.eq(tile_ends & (group_outer | self.group.last)),
            self.last.eq(self.chunk.last & self.group.last & self.tile.last),
        ]
        return m
