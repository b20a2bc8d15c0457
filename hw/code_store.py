"""Attention codes on their way from the softmax to the shifter array, a bank for every P-th key."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In
from amaranth.utils import ceil_log2

from hw.config import CODE_BITS, Config
from hw.memory import Memory
from hw.ports import ReadPort


class CodeStore(wiring.Component):
    """Codes of two row groups: one is written key by key, the other read P keys at a time.

    Key ``k`` is in bank ``k mod P``, word ``k div P``. Of a word that is not full, the codes past
    the last key mean nothing.

    Members
    -------
    put, codes, last : In, the next key's codes, 5 bits per row; the group ends with ``last``.
    read : In(ReadPort), a word of the oldest complete group, [row][bank]; it stays until the next.
    release : In, the group being read is not needed any more (a read of the same cycle counts).
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        keys = config.keys_per_cycle
        super().__init__(
            {
                "put": In(1),
                "codes": In(data.ArrayLayout(CODE_BITS, config.rows)),
                "last": In(1),
                "read": In(
                    ReadPort(
                        config.addr_bits["code"], data.ArrayLayout(CODE_BITS, config.rows * keys)
                    )
                ),
                "release": In(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config, keys = self.config, self.config.keys_per_cycle
        bank_bits = ceil_log2(keys)
        key = Signal(bank_bits + self.config.addr_bits["code"])
        written, shown = Signal(), Signal()  # which half of the banks
        with m.If(self.put):
            m.d.sync += key.eq(key + 1)
            with m.If(self.last):
                m.d.sync += [key.eq(0), written.eq(~written)]
        with m.If(self.release):
            m.d.sync += shown.eq(~shown)

        for bank in range(keys):
            mem = Memory(CODE_BITS * config.rows, config.code_words)
            m.submodules[f"bank_{bank}"] = mem
            m.d.comb += [
                mem.rd_en.eq(self.read.en),
                mem.rd_addr.eq(Cat(self.read.addr, shown)),
                mem.wr_en.eq(self.put & (key[:bank_bits] == bank)),
                mem.wr_addr.eq(Cat(key[bank_bits:], written)),
                mem.wr_data.eq(self.codes),
            ]
            for row in range(config.rows):
                m.d.comb += self.read.data[row * keys + bank].eq(
                    mem.rd_data.word_select(row, CODE_BITS)
                )
        return m
