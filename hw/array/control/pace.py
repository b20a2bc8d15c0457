"""What the array does in a cycle: read a word of parameters, take a chunk, or wait, and why."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.config import Config
from hw.isa.instruction import Op
from hw.isa.layouts import fields_layout
from hw.isa.limits import MIN_TILE, PARAM_GAP

#: Why a cycle takes no chunk: no instruction, no rows of constants, the drain's pace, parameters.
STALL = data.StructLayout({"no_instr": 1, "const": 1, "pace": 1, "params": 1})

#: The fields of an instruction that say which tiles read parameters.
SWEEPS = fields_layout(Op.MATMUL, ("keep_params", "shared_params"))


class Pace(wiring.Component):
    """Starts instructions without a gap and spaces their last chunks for the drain.

    Last chunks are at least ``max(R, MIN_TILE)`` cycles apart. Where parameters are due, one word
    is read per cycle from `PARAM_GAP` cycles after the last chunk on, and the next last chunk
    waits until all are read; other chunks go on before and behind them.

    Members
    -------
    instr : a transfer starts an instruction in the next cycle.
    last_chunk, last : the chunk at hand is the last one of its tile, of the instruction.
    new_sweep : the next tile has other parameters; looked at when a last chunk is issued.
    const_ready : the rows of constants that the tile wants are there.
    issue : take the chunk at hand. finish : it is a last one.
    fetch : read parameter word ``word`` instead.
    busy : an instruction is at work. stall : the cause, one-hot, of a cycle without ``issue``.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(
            {
                "instr": In(stream.Signature(SWEEPS)),
                "last_chunk": In(1),
                "last": In(1),
                "new_sweep": In(1),
                "const_ready": In(1),
                "issue": Out(1),
                "finish": Out(1),
                "fetch": Out(1),
                "word": Out(range(max(2, config.param_words))),
                "busy": Out(1),
                "stall": Out(STALL),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        busy, fetch, issue = self.busy, self.fetch, self.issue
        apart = max(self.config.rows, MIN_TILE)
        # Cycles since the last last chunk; it stays where nothing waits any longer.
        age = Signal(range(max(apart, PARAM_GAP)), init=max(apart, PARAM_GAP) - 1)
        pending = Signal()  # parameters are due
        shared = Signal()  # all tiles have the same ones
        paced, held = Signal(), Signal()
        m.d.comb += [
            fetch.eq(busy & pending & (age >= PARAM_GAP - 1)),
            paced.eq(age >= apart - 1),
            issue.eq(busy & ~fetch & (~self.last_chunk | (paced & self.const_ready & ~pending))),
            self.finish.eq(issue & self.last_chunk),
            self.instr.ready.eq(~busy | (issue & self.last)),
            held.eq(busy & ~issue & ~fetch),
            self.stall.no_instr.eq(~busy),
            self.stall.params.eq(fetch | (held & pending & paced)),
            self.stall.pace.eq(held & ~paced),
            self.stall.const.eq(held & ~pending & paced),
        ]
        with m.If(self.finish):
            m.d.sync += [age.eq(0), busy.eq(~self.last), pending.eq(~shared & self.new_sweep)]
        with m.Elif(age != age.init):
            m.d.sync += age.eq(age + 1)
        with m.If(fetch):
            m.d.sync += self.word.eq(self.word + 1)
            with m.If(self.word == self.config.param_words - 1):
                m.d.sync += [self.word.eq(0), pending.eq(0)]
        with m.If(self.instr.ready & self.instr.valid):
            m.d.sync += [
                busy.eq(1),
                pending.eq(~self.instr.p.keep_params),
                shared.eq(self.instr.p.shared_params),
            ]
        return m
