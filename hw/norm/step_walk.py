"""Steps of the tokens of an instruction: lanes, parameters and destination of K channels each."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.ops.psmac import MacMode
from hw.config import Config
from hw.isa.instruction import Op
from hw.isa.layouts import payload_layout
from hw.norm.datapath import step_layout


def place_layout(config: Config) -> data.StructLayout:
    """Where a step's results go: word ``addr`` of ``bank``, ``half`` of it; ``end`` : the last."""
    bits = config.addr_bits["act"]
    return data.StructLayout({"addr": bits, "bank": range(config.rows), "half": 1, "end": 1})


class StepWalk(wiring.Component):
    """Walks ``steps`` of ``count`` tokens in order and hands each its K channels.

    One step per cycle while words are there and the lanes take them. A residual word serves one
    or two steps. Token ``i`` goes to bank ``i mod R``; every R tokens, ``d_stride`` words further.
    The next instruction follows without a pause if it was started before the last step.

    Members
    -------
    start : In(1), while ``free``; ``instr`` : In, the instruction, from the cycle after ``start``
        until ``free``. free : Out(1), the last instruction has been begun.
    words : In(stream), residual words. step : Out(stream), to `LayerNormUnit`, whose ``tag`` is
        `place_layout`.
    idle : Out(1), no instruction. starved : Out(1), a step waits for its word.
    outside : Out(1), the next place lies beyond the memory, and the step is not offered.
        halt : In(1), offer nothing more.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._narrow = config.precision.has(MacMode.W4A4)
        step = step_layout(
            config.lanes, place_layout(config), config.addr_bits["norm"], narrow=self._narrow
        )
        super().__init__(
            {
                "start": In(1),
                "instr": In(payload_layout(Op.NORM)),
                "free": Out(1),
                "words": In(stream.Signature(data.ArrayLayout(signed(8), config.cols))),
                "step": Out(stream.Signature(step)),
                "idle": Out(1),
                "starved": Out(1),
                "outside": Out(1),
                "halt": In(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config, step, words, new = self.config, self.step, self.words, self.instr
        shared = config.cols // config.lanes == 2  # two steps to a word
        current, left = Signal.like(new, reset_less=True), Signal.like(new.count)
        at, bank, row = Signal.like(new.steps), Signal(range(config.rows)), Signal(17)
        pending, begin, addr = Signal(), Signal(), Signal(18)
        fire, end_token, end = Signal(), Signal(), Signal()
        m.d.comb += [
            self.free.eq(~pending),
            self.idle.eq((left == 0) & ~pending),
            self.starved.eq((left != 0) & ~words.valid),
            addr.eq(row + (at >> 1)),
            self.outside.eq((left != 0) & (addr >= config.act_words)),
            end_token.eq(at == current.steps - 1),
            end.eq(end_token & (left == 1)),
            begin.eq(pending & ((left == 0) | (fire & end))),
            step.valid.eq((left != 0) & words.valid & ~self.outside & ~self.halt),
            fire.eq(step.valid & step.ready),
            words.ready.eq(fire & (at[0] if shared else 1)),
            step.p.q.as_value().eq(
                words.p.as_value().word_select(at[0] if shared else 0, 8 * config.lanes)
            ),
            step.p.last.eq(end_token),
            step.p.shift.eq(current.shift),
            step.p.word.eq(current.p_addr + at),
            step.p.tag.addr.eq(addr),
            step.p.tag.bank.eq(bank),
            step.p.tag.half.eq(at[0]),
            step.p.tag.end.eq(end),
        ]
        if self._narrow:
            m.d.comb += step.p.narrow.eq(current.narrow)
        with m.If(fire):
            m.d.sync += at.eq(at + 1)
            with m.If(end_token):
                wrap = bank == config.rows - 1
                m.d.sync += [at.eq(0), left.eq(left - 1), bank.eq(Mux(wrap, 0, bank + 1))]
                with m.If(wrap):
                    m.d.sync += row.eq(row + current.d_stride)
        with m.If(begin):
            m.d.sync += [
                current.eq(new), left.eq(new.count), row.eq(new.d_addr), bank.eq(0), at.eq(0),
                pending.eq(0),
            ]  # fmt: skip
        with m.If(self.start):
            m.d.sync += pending.eq(1)
        return m
