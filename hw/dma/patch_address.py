"""Addresses of image patches in the activation banks, word by word in image-row order."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.config import Config
from hw.isa.instruction import Op
from hw.isa.layouts import payload_layout


class PatchAddress(wiring.Component):
    """Walks a PATCH instruction: image row, then patch, then word (docs/architecture.md, PATCH).

    Members
    -------
    start : take ``instr``; ``step`` : go on to the next word.
    bank, addr : destination of the word at hand; ``last`` : it is the instruction's final one.
    outside : ``addr`` is beyond the memory.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(
            {
                "instr": In(payload_layout(Op.PATCH)),
                "start": In(1),
                "step": In(1),
                "bank": Out(range(config.rows)),
                "addr": Out(config.addr_bits["act"]),
                "last": Out(1),
                "outside": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        instr = self.instr
        first_bank, bank = Signal(range(self.config.rows)), Signal(range(self.config.rows))
        # `addr` is a register of its own: whether it is outside decides about writes that others
        # wait for.
        row_addr, group_addr, addr = Signal(17), Signal(17), Signal(18)
        word, patch, row = (Signal(8, name=name) for name in ("word", "patch", "row"))
        words, patches, rows = (Signal(8, name=name) for name in ("words", "patches", "rows"))
        stride = Signal.like(instr.stride)
        end_word, end_patch, wrap = Signal(), Signal(), Signal()
        inside = len(self.addr)
        m.d.comb += [
            self.addr.eq(addr),
            self.bank.eq(bank),
            end_word.eq(word == words - 1),
            end_patch.eq(end_word & (patch == patches - 1)),
            wrap.eq(bank == self.config.rows - 1),
            self.last.eq(end_patch & (row == rows - 1)),
            # Apart, so that a power of two of words takes no comparison.
            self.outside.eq(addr[inside:].any() | (addr[:inside] >= self.config.act_words)),
        ]
        with m.If(self.step):
            m.d.sync += [word.eq(word + 1), addr.eq(addr + 1)]
            with m.If(end_word):
                group = group_addr + Mux(wrap, stride, 0)
                m.d.sync += [
                    word.eq(0), patch.eq(patch + 1), bank.eq(Mux(wrap, 0, bank + 1)),
                    group_addr.eq(group), addr.eq(group),
                ]  # fmt: skip
            with m.If(end_patch):
                below = row_addr + words
                m.d.sync += [
                    patch.eq(0), row.eq(row + 1), bank.eq(first_bank),
                    row_addr.eq(below), group_addr.eq(below), addr.eq(below),
                ]  # fmt: skip
        with m.If(self.start):
            m.d.sync += [
                word.eq(0), patch.eq(0), row.eq(0),
                words.eq(instr.seg_words), patches.eq(instr.patches), rows.eq(instr.rows),
                stride.eq(instr.stride), first_bank.eq(instr.bank), bank.eq(instr.bank),
                row_addr.eq(instr.addr), group_addr.eq(instr.addr), addr.eq(instr.addr),
            ]  # fmt: skip
        return m
