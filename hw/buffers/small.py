"""The buffers of one memory each: logits of the network, LayerNorm parameters, constants."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.config import Config
from hw.formats.layouts import record_layout
from hw.formats.norm import NORM_CHANNEL
from hw.lib.fifo import Fifo
from hw.lib.memory import Memory
from hw.lib.ports import ReadPort, ReadRequest, WritePort, addr_data, write_stream
from hw.lib.read_priority import share_read
from hw.norm.datapath import alpha_layout, gain_layout


class OutBuffer(wiring.Component):
    """``out_words`` words of Cn int32: ``drain_write`` never waits, ``store_read`` neither."""

    def __init__(self, config: Config) -> None:
        self.config = config
        bits, cols = config.addr_bits["out"], config.cols
        write = data.StructLayout({"addr": bits, "data": data.ArrayLayout(signed(32), cols)})
        super().__init__(
            {
                "store_read": In(ReadRequest(bits, data.ArrayLayout(8, 4 * cols))),
                "drain_write": In(WritePort(write)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.mem = mem = Memory(32 * self.config.cols, self.config.out_words)
        share_read(m, mem.rd_en, mem.rd_addr, None, [self.store_read])
        m.d.comb += [
            self.store_read.data.eq(mem.rd_data),
            mem.wr_en.eq(self.drain_write.en),
            mem.wr_addr.eq(self.drain_write.payload.addr),
            mem.wr_data.eq(self.drain_write.payload.data),
        ]
        return m


class NormBuffer(wiring.Component):
    """``norm_words`` words of K channels' LayerNorm parameters; no port waits.

    Two memories, as the alphas of a step are needed before its gammas and betas.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        bits, lanes = config.addr_bits["norm"], config.lanes
        super().__init__(
            {
                "alpha_read": In(ReadPort(bits, alpha_layout(lanes))),
                "gain_read": In(ReadPort(bits, gain_layout(lanes))),
                "load_write": In(write_stream(addr_data(bits, config.norm_bytes))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config, write = self.config, self.load_write
        word = data.View(
            data.ArrayLayout(record_layout(NORM_CHANNEL), config.lanes), write.p.data.as_value()
        )
        m.d.comb += write.ready.eq(1)
        for name, port in (("alpha", self.alpha_read), ("gain", self.gain_read)):
            new = Signal.like(port.data, name=f"{name}_new")
            m.submodules[name] = mem = Memory(len(new.as_value()), config.norm_words)
            m.d.comb += [
                mem.rd_en.eq(port.en),
                mem.rd_addr.eq(port.addr),
                port.data.eq(mem.rd_data),
                mem.wr_en.eq(write.valid),
                mem.wr_addr.eq(write.p.addr),
                mem.wr_data.eq(new),
            ]
            for lane in range(config.lanes):
                if name == "alpha":
                    m.d.comb += new[lane].eq(word[lane].alpha)
                else:
                    m.d.comb += [
                        new[lane].gamma.eq(word[lane].gamma),
                        new[lane].beta.eq(word[lane].beta),
                    ]
        return m


class ConstantQueue(wiring.Component):
    """Rows of Cn int16 position constants on their way to the residual adder.

    ``room`` rows may be pushed without waiting for ``i.ready``; ``level`` rows may be popped
    without waiting for ``o.valid``, one per cycle.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        row = stream.Signature(data.ArrayLayout(signed(16), config.cols))
        level = range(config.const_rows + 1)
        super().__init__({"i": In(row), "o": Out(row), "level": Out(level), "room": Out(level)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        rows = self.config.const_rows
        m.submodules.queue = queue = Fifo(data.ArrayLayout(signed(16), self.config.cols), rows - 1)
        wiring.connect(m, wiring.flipped(self.i), queue.i)
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        m.d.comb += [
            self.level.eq(Mux(queue.o.valid, queue.level, 0)),
            self.room.eq(rows - queue.level),
        ]
        return m
