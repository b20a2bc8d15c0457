"""Sums of the tokens of an instruction, from the statistics memory to the root."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.config import Config
from hw.formats.statistics import stat_layout
from hw.isa.instruction import Op
from hw.isa.layouts import payload_layout
from hw.lib.ports import ReadPort
from hw.norm.token_variance import token_layout


class TokenFeed(wiring.Component):
    """Reads the statistics of ``count`` tokens from ``token`` on, one ahead of the root.

    The first token is offered two cycles after ``start``, the next ones in the cycle after
    the transfer of the one before: the memory's output holds what is offered.

    Members
    -------
    start, instr : In, while ``free``; the instruction need not stay. free : Out(1), every token
        has been taken.
    stat_read : Out(ReadPort), the statistics memory.
    token : Out(stream), `token_layout`: sums and channel count.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "instr": In(payload_layout(Op.NORM)),
                "free": Out(1),
                "stat_read": Out(ReadPort(config.addr_bits["token"], stat_layout(config))),
                "token": Out(stream.Signature(token_layout(config.max_channels))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        new, token = self.instr, self.token
        at, left = Signal.like(new.token), Signal.like(new.count)
        channels, read = Signal.like(new.channels), Signal()
        m.d.comb += [
            self.free.eq((left == 0) & ~token.valid),
            read.eq((left != 0) & (~token.valid | token.ready)),
            self.stat_read.en.eq(read),
            self.stat_read.addr.eq(at),
            token.p.s1.eq(self.stat_read.data.s1),
            token.p.s2.eq(self.stat_read.data.s2),
            token.p.c.eq(channels),
        ]
        m.d.sync += token.valid.eq(read | (token.valid & ~token.ready))
        with m.If(read):
            m.d.sync += [at.eq(at + 1), left.eq(left - 1)]
        with m.If(self.start):
            m.d.sync += [at.eq(new.token), left.eq(new.count), channels.eq(new.channels)]
        return m
