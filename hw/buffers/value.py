"""Value buffer: V of the heads in flight, a bank for every P-th key."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In
from amaranth.utils import bits_for, ceil_log2

from hw.config import Config
from hw.lib.memory import Memory
from hw.lib.ports import ReadPort, ReadRequest, WritePort, addr_data
from hw.lib.read_priority import share_read


class ValueBuffer(wiring.Component):
    """``value_words`` tokens of D bytes, written in ``D/Cn`` parts and read P tokens at a time.

    Token ``t`` is in bank ``t mod P`` (P = D/2K), its bytes ``2K*w`` onward in word
    ``t - t mod P + w``. A read shows one word of every bank: P successive tokens, 2K channels of
    each.

    Members
    -------
    read : attention; never waits; a word in every bank, [bank][2K]. store_read : waits for it.
    drain_write : a token's part of Cn bytes; never waits.
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
        write, granules = self.drain_write, config.tile_act_granules
        bank_bits, granule_bits = ceil_log2(config.keys_per_cycle), ceil_log2(granules)
        part, token = write.payload.part, write.payload.addr
        word = Cat((part >> granule_bits)[:bank_bits], token[bank_bits:])
        words = []
        for bank in range(config.keys_per_cycle):
            for granule in range(granules):
                mem = Memory(8 * config.cols, config.value_words)
                m.submodules[f"bank_{bank}_{granule}"] = mem
                m.d.comb += [
                    mem.rd_en.eq(en),
                    mem.rd_addr.eq(addr),
                    mem.wr_en.eq(
                        write.en & (token[:bank_bits] == bank) & (part[:granule_bits] == granule)
                    ),
                    mem.wr_addr.eq(word),
                    mem.wr_data.eq(write.payload.data),
                ]
                words.append(mem.rd_data)
        m.d.comb += [self.read.data.eq(Cat(words)), self.store_read.data.eq(Cat(words))]
        return m
