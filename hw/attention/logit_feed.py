"""Reads the logits of a row group word by word and hands them out key by key."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.config import Config
from hw.lib.ports import ReadRequest


class LogitFeed(wiring.Component):
    """One read of a logit word (``Cn`` keys of all R rows) serves ``Cn`` keys.

    ``start`` (not while keys are left) begins with key 0 of the word at ``addr``; the read is
    requested in the next cycle. A granted request's key comes the cycle after, straight from the
    memory, and the others of the word in the cycles after it; the next word is requested with the
    last of them, so without waits there is a key per cycle from two cycles after ``start`` on.

    Members
    -------
    start, addr, keys : In, ``keys`` 1..max_keys.
    read : Out(ReadRequest), the logit memory.
    valid, last, logits : Out, the key shown for one cycle: a signed byte per row.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        bits = config.addr_bits["logit"]
        words = data.ArrayLayout(signed(8), config.rows * config.cols)
        super().__init__(
            {
                "start": In(1),
                "addr": In(bits),
                "keys": In(range(config.max_keys + 1)),
                "read": Out(ReadRequest(bits, words)),
                "valid": Out(1),
                "last": Out(1),
                "logits": Out(data.ArrayLayout(signed(8), config.rows)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        rows, cols = self.config.rows, self.config.cols
        left = Signal(range(self.config.max_keys + 1))
        addr = Signal(self.config.addr_bits["logit"], reset_less=True)
        index = Signal(range(cols), reset_less=True)
        fetched, held, finish = Signal(), Signal(), Signal()  # finish: the last key of a word
        m.d.comb += [
            self.valid.eq(fetched | held),
            self.last.eq(left == 1),
            finish.eq(self.valid & ((index == cols - 1) | self.last)),
            self.read.req.valid.eq(Mux(self.valid, finish & ~self.last, left != 0)),
            self.read.req.payload.eq(addr),
        ]
        m.d.sync += [
            fetched.eq(self.read.req.valid & self.read.req.ready),
            held.eq(self.valid & ~finish),
        ]
        with m.If(self.read.req.valid & self.read.req.ready):
            m.d.sync += addr.eq(addr + 1)
        with m.If(self.valid):
            m.d.sync += [index.eq(index + 1), left.eq(left - 1)]
        with m.If(finish):
            m.d.sync += index.eq(0)
        with m.If(self.start):
            m.d.sync += [left.eq(self.keys), addr.eq(self.addr), index.eq(0)]
        for row in range(rows):
            word = self.read.data.as_value()[row * cols * 8 : (row + 1) * cols * 8]
            buffer = Signal((cols - 1) * 8, name=f"buffer{row}", reset_less=True)
            m.d.sync += buffer.eq(Mux(fetched, word[8:], Cat(buffer[8:], word[-8:])))
            m.d.comb += self.logits[row].eq(Mux(fetched, word[:8], buffer[:8]).as_signed())
        return m
