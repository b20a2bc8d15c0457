"""Data side of the STORE unit: words of the on-chip memories to zero-padded bus beats."""

from typing import Any

from amaranth.hdl import Array, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.config import Config
from hw.formats.memories import Space, memories
from hw.isa.instruction import Mem
from hw.lib.ports import ReadRequest

SOURCES = {
    "act": Mem.ACT, "stream": Mem.STREAM, "value": Mem.VALUE, "logit": Mem.LOGIT,
    "residual": Mem.RESIDUAL, "out": Mem.OUT,
}  # fmt: skip


def word_bytes(config: Config) -> dict[str, int]:
    """Bytes of one word of each source; ACT and LOGIT words hold all rows."""
    return {name: memories(config)[Space(memory)].moved for name, memory in SOURCES.items()}


def beats_per_word(config: Config) -> dict[str, int]:
    """Bus beats that one word of each source occupies in DRAM."""
    return {name: -(-size // config.axi_bytes) for name, size in word_bytes(config).items()}


def read_members(config: Config) -> dict[str, Any]:
    """The six read ports, as members of a signature."""
    return {
        f"{name}_read": Out(ReadRequest(config.addr_bits[name], data.ArrayLayout(8, size)))
        for name, size in word_bytes(config).items()
    }


class StoreReader(wiring.Component):
    """Reads ``words`` consecutive words of one source per job and cuts them into beats.

    One beat per cycle while reads are granted; two cycles between jobs.

    Members
    -------
    job : ``source`` (index into `SOURCES`), first ``addr``, ``words``.
    o : beats, least significant first, the last of a word padded with zeros.
    active : a job is in work; ``starved`` : it waits for a read.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        job = data.StructLayout({"source": range(len(SOURCES)), "addr": 16, "words": 16})
        super().__init__(
            {
                "job": In(stream.Signature(job)),
                "o": Out(stream.Signature(8 * config.axi_bytes)),
                "active": Out(1),
                "starved": Out(1),
                **read_members(config),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        bus, counts = 8 * self.config.axi_bytes, list(beats_per_word(self.config).values())
        most = max(counts)
        source, addr, unread = Signal(range(len(SOURCES))), Signal(16), Signal(16)
        granted, taken = Signal(), Signal()
        arriving, held, index = Signal(), Signal(), Signal(range(max(2, most)))
        wire, word = Signal(bus * most), Signal(bus * most, reset_less=True)
        last_index = Array(Const(n - 1, range(most)) for n in counts)[source]
        have, send, finish, want = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            self.active.eq((unread != 0) | have),
            have.eq(arriving | held),
            self.o.valid.eq(have),
            # A word arrives when its first beat is due.
            self.o.p.eq(Mux(arriving, wire[:bus], word.word_select(index, bus))),
            send.eq(have & self.o.ready),
            finish.eq(send & (index == last_index)),
            # Once true it stays true until the transfer: nothing arrives in between.
            want.eq((unread != 0) & (~have | finish)),
            self.job.ready.eq(~self.active),
            # Without `have`, `want` is there as long as words are unread.
            self.starved.eq((unread != 0) & ~have & ~granted),
            taken.eq(want & granted),
        ]
        with m.Switch(source):
            for i, name in enumerate(SOURCES):
                port = getattr(self, f"{name}_read")
                m.d.comb += port.req.p.eq(addr)
                with m.Case(i):
                    m.d.comb += [
                        wire.eq(port.data.as_value()),
                        port.req.valid.eq(want),
                        granted.eq(port.req.ready),
                    ]
        m.d.sync += [arriving.eq(taken), held.eq(have & ~finish)]
        with m.If(arriving):
            m.d.sync += word.eq(wire)
        with m.If(send):
            m.d.sync += index.eq(Mux(finish, 0, index + 1))
        with m.If(taken):
            m.d.sync += [addr.eq(addr + 1), unread.eq(unread - 1)]
        with m.If(self.job.valid & self.job.ready):
            new = self.job.p
            m.d.sync += [source.eq(new.source), addr.eq(new.addr), unread.eq(new.words)]
        return m
