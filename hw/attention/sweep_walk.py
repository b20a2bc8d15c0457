"""Order in which the value pass reads: for each word of the head, all keys."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.ops.psmac import MacMode
from hw.attention.key_store import KeyRead
from hw.config import CODE_BITS, Config
from hw.isa.instruction import Op
from hw.isa.layouts import payload_layout


def sweep_step(config: Config) -> data.StructLayout:
    """What the keys of one read are to a sweep.

    ``first``, ``last`` of it; ``final`` : of the last sweep. ``real`` : a bit per key, in a
    group's last word not all. ``half`` : the codes' format; ``addr``, ``shift``, and where
    a configuration makes results of 4 bits ``narrow`` : of the result.
    """
    flags = dict.fromkeys(("first", "last", "final"), 1)
    rest = {"real": config.keys_per_cycle, "half": 1, "addr": config.addr_bits["act"], "shift": 6}
    if config.precision.has(MacMode.W4A4):
        rest["narrow"] = 1
    return data.StructLayout({**flags, **rest})


class SweepWalk(wiring.Component):
    """Walks a row group: for each of ``d_words`` words of the head over all keys, P a cycle.

    Members
    -------
    i : In(stream), instructions whose codes are complete; taken when nothing is left to be read.
        The first keys are read in the next cycle.
    hold : In(1), read nothing in this cycle.
    read : Out(1), the next P keys are read: ``codes`` (Out(KeyRead), released with the last) and
        word ``value_addr`` of the value buffer. step : Out(`sweep_step`), what they are.
    busy : Out(1), keys are left to be read.
    """

    def __init__(self, config: Config) -> None:
        self.config = c = config
        super().__init__(
            {
                "i": In(stream.Signature(payload_layout(Op.ATTEND))),
                "hold": In(1),
                "read": Out(1),
                "codes": Out(KeyRead(c.rows, CODE_BITS, c.keys_per_cycle, c.code_words)),
                "value_addr": Out(c.addr_bits["value"]),
                "step": Out(sweep_step(c)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        keys, new, step = self.config.keys_per_cycle, self.i.p, self.step
        group = Signal.like(new, reset_less=True)
        left = Signal.like(new.keys, reset_less=True)
        word = Signal.like(new.d_words, reset_less=True)
        at = Signal.like(self.value_addr, reset_less=True)
        index = Signal.like(self.codes.read.addr, reset_less=True)
        fresh, start = Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(~self.busy),
            start.eq(self.i.valid & self.i.ready),
            self.read.eq(self.busy & ~self.hold),
            self.value_addr.eq(at),
            self.codes.read.en.eq(self.read),
            self.codes.read.addr.eq(index),
            self.codes.release.eq(self.read & step.last & step.final),
            step.first.eq(fresh),
            step.last.eq(left <= keys),
            step.final.eq(word == group.d_words - 1),
            step.real.eq(Cat(left > key for key in range(keys))),
            step.half.eq(group.half),
            step.addr.eq(group.d_addr + word),
            step.shift.eq(group.shift),
        ]
        if self.config.precision.has(MacMode.W4A4):
            m.d.comb += step.narrow.eq(group.narrow)
        m.d.sync += self.busy.eq((self.busy & ~self.codes.release) | start)
        with m.If(self.read):
            m.d.sync += [
                left.eq(left - keys), at.eq(at + keys), index.eq(index + 1), fresh.eq(step.last),
            ]  # fmt: skip
            with m.If(step.last):
                m.d.sync += [
                    left.eq(group.keys), at.eq(group.v_addr + word + 1), index.eq(0),
                    word.eq(word + 1),
                ]  # fmt: skip
        with m.If(start):
            m.d.sync += [
                group.eq(new), left.eq(new.keys), at.eq(new.v_addr), index.eq(0), word.eq(0),
                fresh.eq(1),
            ]  # fmt: skip
        return m
