"""Logit buffer: scores of row groups, their codes after softmax, and the rows' maxima."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In
from amaranth.utils import bits_for

from hw.config import Config
from hw.lib.memory import Memory
from hw.lib.ports import ReadPort, ReadRequest, WritePort, addr_data, write_stream
from hw.lib.read_priority import share_read


class LogitBuffer(wiring.Component):
    """``logit_words`` words of Cn keys in each of R banks, read in all banks at once.

    Members
    -------
    read, store_read : requests, in this order of priority.
    drain_write : never waits; a word of one bank. code_write : a word in every bank, waits for it.
    max_write, max_read : the R maxima of a slot; neither waits.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        bits, cols, rows = config.addr_bits, config.cols, config.rows
        word = data.ArrayLayout(signed(8), rows * cols)
        maxima = data.ArrayLayout(signed(8), rows)
        drain = addr_data(bits["logit"], cols, bank=bits_for(rows - 1))
        slot = data.StructLayout({"addr": bits["slot"], "data": maxima})
        super().__init__(
            {
                "read": In(ReadRequest(bits["logit"], word)),
                "store_read": In(ReadRequest(bits["logit"], data.ArrayLayout(8, rows * cols))),
                "drain_write": In(WritePort(drain)),
                "code_write": In(write_stream(addr_data(bits["logit"], rows * cols))),
                "max_write": In(WritePort(slot)),
                "max_read": In(ReadPort(bits["slot"], maxima)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        width = 8 * config.cols
        en, addr = Signal(), Signal(config.addr_bits["logit"])
        reads = [self.read, self.store_read]
        share_read(m, en, addr, None, reads)

        drain, code = self.drain_write, self.code_write
        m.d.comb += code.ready.eq(~drain.en)
        words = []
        for bank in range(config.rows):
            m.submodules[f"bank_{bank}"] = mem = Memory(width, config.logit_words)
            part = code.p.data.as_value()[bank * width : (bank + 1) * width]
            by_drain = drain.en & (drain.payload.bank == bank)
            m.d.comb += [
                mem.rd_en.eq(en),
                mem.rd_addr.eq(addr),
                mem.wr_en.eq(Mux(drain.en, by_drain, code.valid)),
                mem.wr_addr.eq(Mux(drain.en, drain.payload.addr, code.p.addr)),
                mem.wr_data.eq(Mux(drain.en, drain.payload.data.as_value(), part)),
            ]
            words.append(mem.rd_data)
        m.d.comb += [port.data.eq(Cat(words)) for port in reads]

        m.submodules.maxima = maxima = Memory(8 * config.rows, config.slots)
        m.d.comb += [
            maxima.rd_en.eq(self.max_read.en),
            maxima.rd_addr.eq(self.max_read.addr),
            self.max_read.data.eq(maxima.rd_data),
            maxima.wr_en.eq(self.max_write.en),
            maxima.wr_addr.eq(self.max_write.payload.addr),
            maxima.wr_data.eq(self.max_write.payload.data),
        ]
        return m
