"""Value buffer: V of one head, one token a word."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In
from amaranth.utils import bits_for

from hw.config import Config
from hw.memory import Memory
from hw.ports import ReadPort, ReadRequest, WritePort, addr_data
from hw.read_priority import share_read


class ValueBuffer(wiring.Component):
    """``value_words`` words of D bytes, written in ``D/Cn`` parts.

    ``read`` (attention) never waits, ``store_read`` waits for it; ``drain_write`` never waits.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        bits, size = config.addr_bits["value"], config.head_lanes
        part = bits_for(size // config.cols - 1)
        super().__init__(
            {
                "read": In(ReadPort(bits, data.ArrayLayout(signed(8), size))),
                "store_read": In(ReadRequest(bits, data.ArrayLayout(8, size))),
                "drain_write": In(WritePort(addr_data(bits, config.cols, part=part))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        en, addr = Signal(), Signal(config.addr_bits["value"])
        share_read(m, en, addr, (self.read.en, self.read.addr), [self.store_read])
        write = self.drain_write
        words = []
        for part in range(config.head_lanes // config.cols):
            mem = Memory(8 * config.cols, config.value_words)
            m.submodules[f"part_{part}"] = mem
            m.d.comb += [
                mem.rd_en.eq(en),
                mem.rd_addr.eq(addr),
                mem.wr_en.eq(write.en & (write.payload.part == part)),
                mem.wr_addr.eq(write.payload.addr),
                mem.wr_data.eq(write.payload.data),
            ]
            words.append(mem.rd_data)
        m.d.comb += [self.read.data.eq(Cat(words)), self.store_read.data.eq(Cat(words))]
        return m
