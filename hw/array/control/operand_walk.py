"""Addresses of what a MATMUL reads: activations, weights and parameters."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.ops.psmac import MacMode
from hw.array.control.loop_nest import TURN
from hw.array.tile import ADDR_BITS
from hw.config import Config
from hw.isa.instruction import Op
from hw.isa.layouts import fields_layout, mode_fields


def operands_layout(config: Config) -> data.StructLayout:
    """The fields of an instruction that say where its operands lie."""
    addresses = ("a_addr", "a_stride", "w_addr", "w_stride", "p_addr")
    return fields_layout(Op.MATMUL, (*addresses, *mode_fields(config.precision)))


class OperandWalk(wiring.Component):
    """Addresses of the chunk at hand and of its sweep's parameters.

    A row group's activations lie ``a_stride`` words behind the group's before, a tile's weights
    and parameters ``w_stride`` words behind the tile's before. A chunk takes one weight word and,
    in 8x8 mode, one half of an activation word; in 4x4 mode two words of each.

    Members
    -------
    begin : pulse; the instruction with these ``operands`` starts in the next cycle.
    chunk, group, tile : where it stands, as of `LoopNest`.
    act : activation word of the chunk at hand; ``half`` : which half of it (0 with 4-bit weights).
    weight : its stream word. params : stream word of its sweep's first parameters.
    w4 : the instruction's weights have 4 bits; x4 : its activations too.
    Addresses have one bit more than any memory's and keep it.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._narrow = config.precision.has(MacMode.W4A4)
        narrow = {"x4": Out(1)} if self._narrow else {}
        super().__init__(
            {
                "begin": In(1),
                "operands": In(operands_layout(config)),
                "chunk": In(TURN),
                "group": In(TURN),
                "tile": In(TURN),
                "act": Out(ADDR_BITS),
                "half": Out(1),
                "w4": Out(1),
                **narrow,
                "weight": Out(ADDR_BITS),
                "params": Out(ADDR_BITS),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        cur = Signal(operands_layout(self.config), reset_less=True)
        with m.If(self.begin):
            m.d.sync += cur.eq(self.operands)
        _, act = self._starts(m, "a_addr", cur.a_addr, cur.a_stride, self.group)
        _, weight = self._starts(m, "w_addr", cur.w_addr, cur.w_stride, self.tile)
        params, _ = self._starts(m, "p_addr", cur.p_addr, cur.w_stride, self.tile)
        m.d.comb += [self.params.eq(params), self.w4.eq(cur.w4)]
        weights: Value | int = 1
        acts: Value = self.half | cur.w4
        if self._narrow:
            m.d.comb += self.x4.eq(cur.x4)
            weights, acts = Mux(cur.x4, 2, 1), Mux(cur.x4, 2, acts)
        with m.If(self.chunk.step):
            m.d.sync += [
                self.weight.eq(self.weight + weights),
                self.half.eq(~self.half & ~cur.w4),
                self.act.eq(self.act + acts),
            ]
            with m.If(self.chunk.last):
                m.d.sync += [self.act.eq(act), self.weight.eq(weight), self.half.eq(0)]
        with m.If(self.begin):
            m.d.sync += [
                self.act.eq(self.operands.a_addr),
                self.weight.eq(self.operands.w_addr),
                self.half.eq(0),
            ]
        return m

    def _starts(
        self, m: Module, field: str, first: Value, stride: Value, turn: Any
    ) -> tuple[Signal, Signal]:
        """Where this turn's words start, a register, and where those of the next tile do."""
        here, there = Signal(ADDR_BITS, name=field), Signal(ADDR_BITS, name=f"next_{field}")
        m.d.comb += there.eq(here)
        with m.If(turn.step):
            m.d.comb += there.eq(Mux(turn.last, first, here + stride))
            m.d.sync += here.eq(there)
        with m.If(self.begin):
            m.d.sync += here.eq(self.operands[field])
        return here, there
