"""One loop: is this its first turn, is this its last."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class LoopCounter(wiring.Component):
    """Counts the turns of a loop, round and round; loops nest by stepping one at the other's end.

    Whether a turn is the last one is a register, known when the turn begins, so that the step into
    the next loop costs no comparison.

    Members
    -------
    begin : pulse; the loop has ``turns`` turns, at least 1, and the first one follows. It wins
        over ``step``. No more than ``turns`` in this cycle needs to hold.
    step : the turn is over; behind the last one comes the first again.
    first, last : of the turn at hand, from the cycle after ``begin`` or ``step``.
    """

    def __init__(self, bits: int) -> None:
        self.bits = bits
        super().__init__(
            {
                "begin": In(1),
                "turns": In(bits),
                "step": In(1),
                "first": Out(1),
                "last": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        turn, total = Signal(self.bits), Signal(self.bits, reset_less=True)
        m.d.comb += self.first.eq(turn == 0)
        with m.If(self.step):
            m.d.sync += [
                turn.eq(Mux(self.last, 0, turn + 1)),
                self.last.eq(Mux(self.last, total == 1, turn + 2 == total)),
            ]
        with m.If(self.begin):
            m.d.sync += [total.eq(self.turns), turn.eq(0), self.last.eq(self.turns == 1)]
        return m
