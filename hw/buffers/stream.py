"""Stream buffer: weight tiles with their parameters, and keys; one word feeds one array chunk."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In
from amaranth.utils import bits_for, ceil_log2

from hw.config import Config
from hw.lib.memory import Memory
from hw.lib.ports import ReadPort, ReadRequest, WritePort, addr_data, write_stream
from hw.lib.read_priority import share_read


class StreamBuffer(wiring.Component):
    """``stream_words`` words of [column][K] bytes.

    Each column is a memory of its own, twice (even and odd words) if ``Cn = 2K``, so that a key
    of Cn bytes, ``Cn/K`` consecutive words of one column, is written in one cycle.

    Members
    -------
    read : the array's; it never waits. store_read : waits for the array.
    key_write : never waits; Cn bytes of column ``lane`` from word ``addr`` onward.
    load_write : one word; waits for keys.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        bits = config.addr_bits["stream"]
        lane = bits_for(config.cols - 1)
        word = data.ArrayLayout(8, config.stream_bytes)
        super().__init__(
            {
                "read": In(ReadPort(bits, word)),
                "store_read": In(ReadRequest(bits, word)),
                "key_write": In(WritePort(addr_data(bits, config.cols, lane=lane))),
                "load_write": In(write_stream(addr_data(bits, config.stream_bytes))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        banks = config.cols // config.lanes
        skip = ceil_log2(banks)
        width = 8 * config.lanes
        en, addr = Signal(), Signal(config.addr_bits["stream"])
        share_read(m, en, addr, (self.read.en, self.read.addr), [self.store_read])
        chosen = Signal(max(1, skip))
        with m.If(en):
            m.d.sync += chosen.eq(addr[:skip])

        load, key = self.load_write, self.key_write
        m.d.comb += load.ready.eq(~key.en)
        key_bytes = key.payload.data.as_value()
        columns = []
        for column in range(config.cols):
            part = slice(column * width, (column + 1) * width)
            words = []
            for bank in range(banks):
                # Which of the key's words falls into this bank, and where.
                first = (key.payload.addr[:skip] == bank) if skip else 1
                key_at = (key.payload.addr + (banks - 1 - bank)) >> skip
                key_word = Mux(first, key_bytes[:width], key_bytes[-width:])
                name = f"column_{column}" + (f"_{bank}" if skip else "")
                mem = Memory(width, -(-config.stream_words // banks))
                m.submodules[name] = mem
                keyed, loaded = Signal(), Signal()
                m.d.comb += [
                    keyed.eq(key.en & (key.payload.lane == column)),
                    loaded.eq(load.valid & ((load.p.addr[:skip] == bank) if skip else 1)),
                    mem.rd_en.eq(en & ((addr[:skip] == bank) if skip else 1)),
                    mem.rd_addr.eq(addr >> skip),
                    mem.wr_en.eq(Mux(key.en, keyed, loaded)),
                    mem.wr_addr.eq(Mux(key.en, key_at, load.p.addr >> skip)),
                    mem.wr_data.eq(Mux(key.en, key_word, load.p.data.as_value()[part])),
                ]
                words.append(mem.rd_data)
            columns.append(Mux(chosen, words[1], words[0]) if skip else words[0])
        m.d.comb += [
            self.read.data.eq(Cat(columns)),
            self.store_read.data.eq(self.read.data),
        ]
        return m
