"""Activation buffer: R banks of two half words; token t of a region lives in bank t mod R."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In
from amaranth.utils import bits_for

from golden.ops.psmac import MacMode
from hw.config import Config
from hw.lib.memory import Memory
from hw.lib.paired_memory import PairedMemory
from hw.lib.ports import NextPort, ReadPort, ReadRequest, WritePort, addr_data, write_stream
from hw.lib.read_priority import share_read
from hw.precision import NIBBLE_BITS


class ActivationBuffer(wiring.Component):
    """``act_words`` words of ``2K`` bytes in each of R banks, read in all banks at once.

    Members
    -------
    read : the array's; it never waits. next : low nibbles of the word behind, with ``en``; only for
        4x4 products, which take two words a cycle. store_read : waits for the array.
    drain_write : never waits; a granule of Cn bytes (a half word, or a word if Cn = 2K).
    attn_write : a word in every bank. norm_write : half a word. load_write : a word of one bank.
        Priority drain, attention, load, norm for each bank and half: a writer waits only while
        one of another source writes the same bank and half. (The norm stays in a bank for a whole
        token; loads that waited for it would follow it from bank to bank.)
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        bits = config.addr_bits["act"]
        bank = bits_for(config.rows - 1)
        size = config.rows * config.act_bytes
        self._narrow = config.precision.has(MacMode.W4A4)
        following = {"next": In(NextPort(data.ArrayLayout(NIBBLE_BITS, size)))}
        super().__init__(
            (following if self._narrow else {})
            | {
                "read": In(ReadPort(bits, data.ArrayLayout(signed(8), size))),
                "store_read": In(ReadRequest(bits, data.ArrayLayout(8, size))),
                "drain_write": In(WritePort(addr_data(bits, config.cols, bank=bank, half=1))),
                "attn_write": In(write_stream(addr_data(bits, size))),
                "norm_write": In(write_stream(addr_data(bits, config.lanes, bank=bank, half=1))),
                "load_write": In(write_stream(addr_data(bits, config.act_bytes, bank=bank))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        en, addr = Signal(), Signal(config.addr_bits["act"])
        share_read(m, en, addr, (self.read.en, self.read.addr), [self.store_read])

        drain, attn = self.drain_write, self.attn_write
        norm, load = self.norm_write, self.load_write
        half_bits = 8 * config.lanes
        whole = config.cols == config.act_bytes
        # Beside attention, which writes everywhere.
        blocked = {"attn": Signal(2 * config.rows), "norm": Signal(2 * config.rows),
                   "load": Signal(2 * config.rows)}  # fmt: skip
        kind = PairedMemory if self._narrow else Memory
        words, following = [], []
        for bank in range(config.rows):
            for half in range(2):
                i = 2 * bank + half
                m.submodules[f"bank_{bank}_{half}"] = mem = kind(half_bits, config.act_words)
                part = slice(half * half_bits, (half + 1) * half_bits)
                row = slice(i * half_bits, (i + 1) * half_bits)
                by_drain, by_norm, by_load = Signal(), Signal(), Signal()
                granule = drain.payload.data.as_value()
                if whole:
                    granule = granule[part]
                at_half = 1 if whole else drain.payload.half == half
                m.d.comb += [
                    by_drain.eq(drain.en & (drain.payload.bank == bank) & at_half),
                    by_norm.eq(norm.valid & (norm.p.bank == bank) & (norm.p.half == half)),
                    by_load.eq(load.valid & (load.p.bank == bank)),
                ]
                # A higher priority blocks the source here if the source wants this bank and half.
                m.d.comb += [
                    blocked["attn"][i].eq(by_drain),
                    blocked["load"][i].eq(by_load & by_drain),
                    blocked["norm"][i].eq(by_norm & (by_drain | by_load)),
                    mem.rd_en.eq(en),
                    mem.rd_addr.eq(addr),
                ]
                with m.If(by_drain):
                    self._write(m, mem, drain.payload.addr, granule, 1)
                with m.Elif(attn.valid):
                    self._write(m, mem, attn.p.addr, attn.p.data.as_value()[row], attn.ready)
                with m.Elif(by_load):
                    value = load.p.data.as_value()[part]
                    self._write(m, mem, load.p.addr, value, load.ready)
                with m.Elif(by_norm):
                    self._write(m, mem, norm.p.addr, norm.p.data.as_value(), norm.ready)
                words.append(mem.rd_data)
                if isinstance(mem, PairedMemory):
                    m.d.comb += mem.rd_pair.eq(self.next.en)
                    following += [mem.next_data[at:][:NIBBLE_BITS] for at in range(0, half_bits, 8)]
        m.d.comb += [
            attn.ready.eq(~blocked["attn"].any()),
            norm.ready.eq(~attn.valid & ~blocked["norm"].any()),
            load.ready.eq(~attn.valid & ~blocked["load"].any()),
            self.read.data.eq(Cat(words)),
            self.store_read.data.eq(Cat(words)),
        ]
        if self._narrow:
            m.d.comb += self.next.data.eq(Cat(following))
        return m

    @staticmethod
    def _write(m: Module, mem: Memory | PairedMemory, addr: Any, value: Any, en: Any) -> None:
        m.d.comb += [mem.wr_en.eq(en), mem.wr_addr.eq(addr), mem.wr_data.eq(value)]
