"""What the passes of attention hand on: a few bits per row and key, of two row groups at a time."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out, Signature
from amaranth.utils import ceil_log2

from hw.lib.memory import Memory
from hw.lib.ports import ReadPort


def address_bits(words: int) -> int:
    """Bits that address one half of a bank of ``words``."""
    return ceil_log2(words) - 1


class KeyWrite(Signature):
    """Filling a `KeyStore`, seen from who fills it.

    ``put``, ``values``, ``last`` : the next key's bits per row; the group ends with ``last``.
    """

    def __init__(self, rows: int, bits: int) -> None:
        values = data.ArrayLayout(bits, rows)
        super().__init__({"put": Out(1), "values": Out(values), "last": Out(1)})


class KeyRead(Signature):
    """Reading a `KeyStore`, seen from the reader.

    ``read`` : a word of the oldest complete group, [row][bank]; it stays until the next.
    ``release`` : the group is not needed any more (a read of the same cycle counts).
    """

    def __init__(self, rows: int, bits: int, banks: int, words: int) -> None:
        shown = data.ArrayLayout(bits, rows * banks)
        super().__init__({"read": Out(ReadPort(address_bits(words), shown)), "release": Out(1)})


class KeyStore(wiring.Component):
    """Two halves: one row group is written key by key while the one before is read.

    Key ``k`` is in bank ``k mod banks``, word ``k div banks``; a read shows a word of every bank.
    In a word that is not full, what lies past the last key means nothing. A third group must not
    begin before the first is released.

    Members
    -------
    `KeyWrite`, `KeyRead` : for the passes on both sides.
    """

    def __init__(self, *, rows: int, bits: int, banks: int, words: int) -> None:
        """``words`` of a bank: a power of two, both halves."""
        self.rows, self.bits, self.banks, self.words = rows, bits, banks, words
        self.writes, self.reads = KeyWrite(rows, bits), KeyRead(rows, bits, banks, words)
        super().__init__({**self.writes.flip().members, **self.reads.flip().members})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        bank_bits = ceil_log2(self.banks)
        key = Signal(bank_bits + address_bits(self.words))
        written, shown = Signal(), Signal()  # which half
        with m.If(self.put):
            m.d.sync += key.eq(key + 1)
            with m.If(self.last):
                m.d.sync += [key.eq(0), written.eq(~written)]
        with m.If(self.release):
            m.d.sync += shown.eq(~shown)
        for bank in range(self.banks):
            m.submodules[f"bank_{bank}"] = mem = Memory(self.bits * self.rows, self.words)
            m.d.comb += [
                mem.rd_en.eq(self.read.en),
                mem.rd_addr.eq(Cat(self.read.addr, shown)),
                mem.wr_en.eq(self.put & (key[:bank_bits] == bank)),
                mem.wr_addr.eq(Cat(key[bank_bits:], written)),
                mem.wr_data.eq(self.values),
            ]
            for row in range(self.rows):
                part = mem.rd_data.word_select(row, self.bits)
                m.d.comb += self.read.data[row * self.banks + bank].eq(part)
        return m
