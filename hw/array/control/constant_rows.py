"""Rows of the constant FIFO, promised to tiles before the drain takes them."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.config import Config
from hw.isa.instruction import Mem, Op
from hw.isa.layouts import fields_layout

#: The fields of an instruction that say whether it adds constants.
ADDITION = fields_layout(Op.MATMUL, ("const_old", "dest"))


class ConstantRows(wiring.Component):
    """Lets a tile finish once the FIFO holds its rows beyond those promised to earlier tiles.

    So the drain, which never waits, finds every row that it takes. ``ready`` is a register, of
    what held the cycle before: a row taken leaves level and promise alike, so what held holds, and
    the next last chunk is `MIN_TILE` cycles away.

    Members
    -------
    begin : pulse; the instruction with this ``addition`` starts in the next cycle.
    rows : of the tile at hand. finish : its last chunk is issued, which promises them.
    level : rows in the FIFO. taken : one of them leaves it in this cycle.
    ready : the tile may finish; always, for an instruction that adds no constants.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(
            {
                "begin": In(1),
                "addition": In(ADDITION),
                "rows": In(range(config.rows + 1)),
                "finish": In(1),
                "level": In(range(config.const_rows + 1)),
                "taken": In(1),
                "ready": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        wanted, wants = Signal(), Signal()
        promised = Signal.like(self.level)
        new = self.addition
        adds = (new.dest == Mem.RESIDUAL) | (new.dest == Mem.LOGIT)
        m.d.comb += wants.eq(new.const_old & adds)
        m.d.sync += [
            promised.eq(promised + Mux(self.finish & wanted, self.rows, 0) - self.taken),
            self.ready.eq(~wanted | (~self.finish & (self.level >= promised + self.rows))),
        ]
        with m.If(self.begin):
            m.d.sync += [wanted.eq(wants), self.ready.eq(~wants)]
        return m
