"""Collects attention codes into words and writes them over the logits they came from."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.config import CODE_BITS, Config
from hw.lib.ports import addr_data, write_stream


class CodeWriter(wiring.Component):
    """One write per ``Cn`` keys, all banks at once; keys past the last are written as zero.

    ``begin`` names the first word of the next row group; a group's codes follow under ``put``,
    from the next cycle on. Both wait for ``ready``.

    Members
    -------
    begin, addr : In.
    put, last, codes : In, 5 bits per row; ``last`` with the last key.
    ready : Out(1), low while a full word waits for the memory.
    write : Out(write_stream), the logit memory.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        bits = config.addr_bits["logit"]
        super().__init__(
            {
                "begin": In(1),
                "addr": In(bits),
                "put": In(1),
                "last": In(1),
                "codes": In(data.ArrayLayout(CODE_BITS, config.rows)),
                "ready": Out(1),
                "write": Out(write_stream(addr_data(bits, config.rows * config.cols))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        rows, cols = self.config.rows, self.config.cols
        index = Signal(range(cols))
        full = Signal()
        addr = Signal(self.config.addr_bits["logit"], reset_less=True)
        m.d.comb += [
            self.ready.eq(~full | self.write.ready),
            self.write.valid.eq(full),
            self.write.payload.addr.eq(addr),
        ]
        with m.If(self.ready):
            m.d.sync += full.eq(0)
        with m.If(full & self.write.ready):
            m.d.sync += addr.eq(addr + 1)
        with m.If(self.put):
            m.d.sync += index.eq(index + 1)
            with m.If(self.last | (index == cols - 1)):
                m.d.sync += [full.eq(1), index.eq(0)]
        with m.If(self.begin):
            m.d.sync += addr.eq(self.addr)
        for i in range(cols):
            hit, wipe = Signal(name=f"hit{i}"), Signal(name=f"wipe{i}")
            m.d.comb += [hit.eq(self.put & (index == i)), wipe.eq(self.put & (index == 0))]
            for row in range(rows):
                code = Signal(CODE_BITS, name=f"code{row}_{i}", reset_less=True)
                with m.If(hit | wipe):
                    m.d.sync += code.eq(Mux(hit, self.codes[row], 0))
                m.d.comb += self.write.payload.data[row * cols + i].eq(code)
        return m
