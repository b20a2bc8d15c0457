"""Residual words of the tokens of an instruction, fetched ahead of the lanes."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.config import Config
from hw.isa.instruction import Op
from hw.isa.layouts import payload_layout
from hw.lib.ports import ReadRequest
from hw.lib.register_queue import RegisterQueue

#: Words that are fetched ahead of the lanes.
AHEAD = 4


class ResidualFeed(wiring.Component):
    """Reads the words of ``count`` tokens, which lie back to back from ``r_addr`` on.

    One word per cycle while reads are granted and fewer than `AHEAD` wait. The next instruction is
    begun two cycles after the last request of the one before.

    Members
    -------
    start : In(1), while ``free``; ``instr`` : In, the instruction, from the cycle after ``start``
        until ``free``. free : Out(1), the last instruction has been begun.
    read : Out(ReadRequest), the residual memory. words : Out(stream), in order.
    outside : Out(1), the next word lies beyond the memory and is not read. halt : In(1), request
        nothing more.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        word = data.ArrayLayout(signed(8), config.cols)
        super().__init__(
            {
                "start": In(1),
                "instr": In(payload_layout(Op.NORM)),
                "free": Out(1),
                "read": Out(ReadRequest(config.addr_bits["residual"], word)),
                "words": Out(stream.Signature(word)),
                "outside": Out(1),
                "halt": In(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config, req, new = self.config, self.read.req, self.instr
        m.submodules.words = queue = RegisterQueue(self.read.data.shape(), AHEAD)
        wiring.connect(m, queue.o, wiring.flipped(self.words))
        addr = Signal(range(max(config.residual_words, 1 << 16) + 1))
        words_per_token = Signal.like(new.steps)
        word, left = Signal.like(words_per_token), Signal.like(new.count)
        coming, fire, pending = Signal(), Signal(), Signal()
        m.d.comb += [
            self.free.eq(~pending),
            self.outside.eq((left != 0) & (addr >= config.residual_words)),
            req.valid.eq((left != 0) & ~self.outside & ~self.halt & (queue.level + coming < AHEAD)),
            req.p.eq(addr),
            fire.eq(req.valid & req.ready),
            queue.i.valid.eq(coming),
            queue.i.p.eq(self.read.data),
        ]
        m.d.sync += coming.eq(fire)
        with m.If(fire):
            m.d.sync += [addr.eq(addr + 1), word.eq(word - 1)]
            with m.If(word == 1):
                m.d.sync += [word.eq(words_per_token), left.eq(left - 1)]
        with m.If(pending & (left == 0)):
            per_token = new.steps >> (config.cols // config.lanes - 1)
            m.d.sync += [
                addr.eq(new.r_addr), left.eq(new.count), pending.eq(0),
                words_per_token.eq(per_token), word.eq(per_token),
            ]  # fmt: skip
        with m.If(self.start):
            m.d.sync += pending.eq(1)
        return m
