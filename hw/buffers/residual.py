"""Residual buffer: the residual stream, and the LayerNorm statistics of each of its tokens."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from hw.config import Config
from hw.lib.memory import Memory
from hw.lib.ports import ReadPort, ReadRequest, WritePort, addr_data, write_stream
from hw.lib.read_priority import share_read


class ResidualBuffer(wiring.Component):
    """``residual_words`` words of Cn channels of one token.

    ``drain_read`` never waits, ``norm_read`` waits for it, ``store_read`` for both;
    ``drain_write`` never waits, ``load_write`` waits for it.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        bits, cols = config.addr_bits["residual"], config.cols
        word = data.ArrayLayout(signed(8), cols)
        super().__init__(
            {
                "drain_read": In(ReadPort(bits, word)),
                "norm_read": In(ReadRequest(bits, word)),
                "store_read": In(ReadRequest(bits, data.ArrayLayout(8, cols))),
                "drain_write": In(WritePort(addr_data(bits, cols))),
                "load_write": In(write_stream(addr_data(bits, cols))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        m.submodules.mem = mem = Memory(8 * config.cols, config.residual_words)
        drain, write, load = self.drain_read, self.drain_write, self.load_write
        share_read(
            m, mem.rd_en, mem.rd_addr, (drain.en, drain.addr), [self.norm_read, self.store_read]
        )
        m.d.comb += [
            load.ready.eq(~write.en),
            mem.wr_en.eq(write.en | load.valid),
            mem.wr_addr.eq(Mux(write.en, write.payload.addr, load.p.addr)),
            mem.wr_data.eq(Mux(write.en, write.payload.data.as_value(), load.p.data.as_value())),
            drain.data.eq(mem.rd_data),
            self.norm_read.data.eq(mem.rd_data),
            self.store_read.data.eq(mem.rd_data),
        ]
        return m


class StatisticsBuffer(wiring.Component):
    """One word of ``layout`` per token, in two copies written together, one per reader.

    ``drain_read`` and ``norm_read`` never wait; nor does ``drain_write`` (``addr`` and the
    members of ``layout``).
    """

    def __init__(self, config: Config, layout: data.StructLayout) -> None:
        self.config = config
        self.layout = layout
        bits = config.addr_bits["token"]
        write = data.StructLayout({"addr": bits, **layout.members})
        super().__init__(
            {
                "drain_read": In(ReadPort(bits, layout)),
                "norm_read": In(ReadPort(bits, layout)),
                "drain_write": In(WritePort(write)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        write = self.drain_write
        word = Signal(self.layout)
        m.d.comb += [word[name].eq(write.payload[name]) for name in self.layout.members]
        for name, port in (("drain", self.drain_read), ("norm", self.norm_read)):
            mem = Memory(self.layout.size, self.config.max_tokens)
            m.submodules[f"for_{name}"] = mem
            m.d.comb += [
                mem.rd_en.eq(port.en),
                mem.rd_addr.eq(port.addr),
                port.data.eq(mem.rd_data),
                mem.wr_en.eq(write.en),
                mem.wr_addr.eq(write.payload.addr),
                mem.wr_data.eq(word),
            ]
        return m
