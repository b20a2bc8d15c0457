"""Stream buffer: weight tiles with their parameters, and keys; one word feeds one array chunk."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In
from amaranth.utils import bits_for, ceil_log2

from golden.ops.psmac import MacMode
from hw.config import Config
from hw.lib.memory import Memory
from hw.lib.ports import NextPort, ReadPort, ReadRequest, WritePort, addr_data, write_stream
from hw.lib.read_priority import share_read


class StreamBuffer(wiring.Component):
    """``stream_words`` words of [column][K] bytes.

    Each column is a memory of its own, twice (even and odd words) if ``Cn = 2K``, so that a key
    of Cn bytes, ``Cn/K`` consecutive words of one column, is written in one cycle; twice too for
    4x4 products, which take two words a cycle.

    Members
    -------
    read : the array's; it never waits. next : the word behind, or without its ``en`` that word
        again; only for 4x4 products. store_read : waits for the array.
    key_write : never waits; Cn bytes of column ``lane`` from word ``addr`` onward.
    load_write : one word; waits for keys.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        bits = config.addr_bits["stream"]
        lane = bits_for(config.cols - 1)
        word = data.ArrayLayout(8, config.stream_bytes)
        self._narrow = config.precision.has(MacMode.W4A4)
        super().__init__(
            ({"next": In(NextPort(word))} if self._narrow else {})
            | {
                "read": In(ReadPort(bits, word)),
                "store_read": In(ReadRequest(bits, word)),
                "key_write": In(WritePort(addr_data(bits, config.cols, lane=lane))),
                "load_write": In(write_stream(addr_data(bits, config.stream_bytes))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        key_words = config.cols // config.lanes
        banks = 2 if self._narrow else key_words
        skip = ceil_log2(banks)
        width = 8 * config.lanes
        en, addr = Signal(), Signal(config.addr_bits["stream"])
        share_read(m, en, addr, (self.read.en, self.read.addr), [self.store_read])
        chosen = Signal(max(1, skip))
        with m.If(en):
            m.d.sync += chosen.eq(addr[:skip])

        other: Value = Const(0)  # whether the word of `next` is an odd one
        if self._narrow:
            other = Signal()
            with m.If(en):
                m.d.sync += other.eq(addr[0] ^ self.next.en)

        load, key = self.load_write, self.key_write
        m.d.comb += load.ready.eq(~key.en)
        key_bytes = key.payload.data.as_value()
        columns, following = [], []
        for column in range(config.cols):
            part = slice(column * width, (column + 1) * width)
            words = []
            for bank in range(banks):
                # Which of the key's words falls into this bank, and where.
                first = (key.payload.addr[:skip] == bank) if skip else 1
                key_at = (key.payload.addr + (key_words - 1) * (banks - 1 - bank)) >> skip
                key_word = Mux(first, key_bytes[:width], key_bytes[-width:])
                name = f"column_{column}" + (f"_{bank}" if skip else "")
                mem = Memory(width, -(-config.stream_words // banks))
                m.submodules[name] = mem
                keyed, loaded = Signal(), Signal()
                mine = key.en & (key.payload.lane == column)
                m.d.comb += [
                    keyed.eq(mine & first if key_words < banks else mine),
                    loaded.eq(load.valid & ((load.p.addr[:skip] == bank) if skip else 1)),
                    mem.rd_en.eq(en & self._asked(addr, skip, bank)),
                    mem.rd_addr.eq((addr + (1 - bank) if self._narrow else addr) >> skip),
                    mem.wr_en.eq(Mux(key.en, keyed, loaded)),
                    mem.wr_addr.eq(Mux(key.en, key_at, load.p.addr >> skip)),
                    mem.wr_data.eq(Mux(key.en, key_word, load.p.data.as_value()[part])),
                ]
                words.append(mem.rd_data)
            columns.append(Mux(chosen, words[1], words[0]) if skip else words[0])
            if self._narrow:
                following.append(Mux(other, words[1], words[0]))
        m.d.comb += [
            self.read.data.eq(Cat(columns)),
            self.store_read.data.eq(self.read.data),
        ]
        if self._narrow:
            m.d.comb += self.next.data.eq(Cat(following))
        return m

    def _asked(self, addr: Signal, skip: int, bank: int) -> Value | int:
        """Whether a memory of even or odd words holds a word that is read."""
        if not skip:
            return 1
        own = addr[:skip] == bank
        return own | self.next.en if self._narrow else own
