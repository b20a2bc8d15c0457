"""Data side of the STORE unit: words of the on-chip memories to bus beats."""

from typing import Any

from amaranth.hdl import Array, C, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.config import Config
from hw.dma.token_walk import TokenWalk, word_sizes
from hw.formats.memories import Space, memories
from hw.isa.instruction import Mem, Op
from hw.isa.layouts import payload_layout
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


class _Packing:
    """What StoreReader knows about the run at hand.

    ``slot`` words of RESIDUAL are in the beat that is being made; ``alone``: it has one word,
    ``full``: with what arrives it is whole. ``pads``: words of the run are all there and zero
    beats follow. ``spent``: no beat is left.
    """

    def __init__(self, config: Config) -> None:
        self.slots = max(1, config.axi_bytes // word_sizes(config)[Mem.RESIDUAL])
        self.slot = Signal(range(max(2, self.slots)))
        self.alone, self.full = Signal(), Signal()
        self.pads, self.spent = Signal(), Signal()


class StoreReader(wiring.Component):
    """Reads the words of a job and makes beats of them: each word its own, or packed.

    STORE reads ``words`` consecutive words of one source and gives each whole beats, the last one
    padded with zeros. SCATTER reads the words of its segments in RESIDUAL, as `TokenWalk` finds
    them, and packs them; what is left of a run's beats is zero. A word of several beats is read
    once for each of them: to keep it would cost a register as wide as the widest word. One beat per
    cycle, or one word where several share a beat, while reads are granted; two cycles between
    jobs.

    Members
    -------
    job : ``source`` (index into `SOURCES`), first ``addr``, ``words``; or, if ``scatter``, those of
        ``run``, with ``source`` RESIDUAL.
    o : beats, least significant byte first.
    active : a job is in work; ``starved`` : it waits for a read.
    illegal : a word of a run lies beyond the memory, or a run has too few beats; nothing follows.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        job = data.StructLayout(
            {
                "source": range(len(SOURCES)),
                "addr": 16,
                "words": 16,
                "scatter": 1,
                "run": payload_layout(Op.SCATTER),
            }
        )
        super().__init__(
            {
                "job": In(stream.Signature(job)),
                "o": Out(stream.Signature(8 * config.axi_bytes)),
                "active": Out(1),
                "starved": Out(1),
                "illegal": Out(1),
                **read_members(config),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        bus, counts = 8 * self.config.axi_bytes, list(beats_per_word(self.config).values())
        parts = range(max(2, *counts))
        m.submodules.walk = walk = TokenWalk(self.config, banked=False)
        source, unread = Signal(range(len(SOURCES))), Signal(16)
        addr = Signal(16, reset_less=True)
        scatter, granted, taken = Signal(), Signal(), Signal()
        # The beat of its word that is asked for, and the one that arrives.
        index, shown, word_end = Signal(parts), Signal(parts), Signal()
        arriving, held = Signal(), Signal()
        wire, beat = Signal(bus), Signal(bus, reset_less=True)
        have, send, finish, want = Signal(), Signal(), Signal(), Signal()
        word_taken = taken & word_end
        run = self._runs(m, walk, taken & scatter, word_end, send & scatter, arriving)
        m.d.comb += [
            self.active.eq((unread != 0) | have),
            have.eq((arriving & run.full) | held),
            self.o.valid.eq(have & ~run.spent),
            self.o.p.eq(Mux(arriving, wire, beat)),
            send.eq(self.o.valid & self.o.ready),
            finish.eq(send & ~run.pads),
            word_end.eq(index == Array(Const(n - 1, len(index)) for n in counts)[source]),
            # Once true it stays true until the transfer: nothing arrives in between.
            want.eq((unread != 0) & (~have | finish) & ~self.illegal),
            self.illegal.eq((unread != 0) & scatter & walk.outside | run.spent),
            self.job.ready.eq(~self.active),
            # Without `have`, `want` is there as long as words are unread.
            self.starved.eq((unread != 0) & ~have & ~granted),
            taken.eq(want & granted),
        ]
        with m.Switch(source):
            for i, (port, count) in enumerate(zip(self._ports(), counts, strict=True)):
                at, value = addr, port.data.as_value()
                if port is self.residual_read:
                    at = Mux(scatter, walk.addr, addr)
                    value = self._packed(value, beat, run.slot)
                if count > 1:
                    whole = Cat(value, C(0, count * bus - len(value)))
                    value = whole.word_select(shown[: (count - 1).bit_length()], bus)
                m.d.comb += port.req.p.eq(at)
                with m.Case(i):
                    m.d.comb += [
                        wire.eq(value),
                        port.req.valid.eq(want),
                        granted.eq(port.req.ready),
                    ]
        m.d.sync += [arriving.eq(taken), held.eq(have & ~finish)]
        with m.If(arriving):
            m.d.sync += beat.eq(wire)
        with m.If(send & run.pads):
            m.d.sync += beat.eq(0)
        with m.If(taken):
            m.d.sync += [index.eq(Mux(word_end, 0, index + 1)), shown.eq(index)]
        with m.If(word_taken):
            m.d.sync += [addr.eq(addr + 1), unread.eq(unread - (~scatter | walk.last))]
        with m.If(self.job.valid & self.job.ready):
            new = self.job.p
            m.d.comb += walk.start.eq(1)
            m.d.sync += [
                source.eq(new.source), addr.eq(new.addr), scatter.eq(new.scatter),
                unread.eq(Mux(new.scatter, 1, new.words)),
            ]  # fmt: skip
        return m

    def _ports(self) -> tuple[Any, ...]:
        """The read ports in the order of `SOURCES`."""
        return (
            self.act_read, self.stream_read, self.value_read, self.logit_read,
            self.residual_read, self.out_read,
        )  # fmt: skip

    def _runs(
        self, m: Module, walk: TokenWalk, taken: Any, word_end: Signal, sent: Any, arriving: Signal
    ) -> _Packing:
        """Count the words of a beat and the beats of a run; STORE is one run of full beats.

        ``taken``: a beat is asked for, its word's last one with ``word_end``; ``sent``: one leaves.
        """
        run, new = _Packing(self.config), self.job.p
        beats, whole = Signal.like(new.run.beats, init=1), Signal.like(new.run.beats)
        closing = Signal()
        m.d.comb += [
            walk.run.eq(new.run),
            walk.step.eq(taken & word_end),
            run.full.eq(run.alone | closing | (run.slot == run.slots - 1)),
            run.pads.eq(closing & (beats != 1)),
            run.spent.eq(beats == 0),
        ]
        with m.If(taken):
            m.d.sync += closing.eq(walk.run_end & word_end)
        with m.If(arriving):
            m.d.sync += run.slot.eq(Mux(run.full, 0, run.slot + 1))
        with m.If(sent):
            m.d.sync += beats.eq(Mux(closing & ~run.pads, whole, beats - 1))
        with m.If(self.job.valid & self.job.ready):
            m.d.sync += [
                run.alone.eq(~new.scatter), closing.eq(0), run.slot.eq(0),
                beats.eq(Mux(new.scatter, new.run.beats, 1)), whole.eq(new.run.beats),
            ]  # fmt: skip
        return run

    def _packed(self, value: Any, beat: Signal, slot: Signal) -> Any:
        """``value`` behind the ``slot`` words of the beat that are there, zeros behind it."""
        size, slots = len(value), _Packing(self.config).slots
        if slots == 1:
            return value
        before = [beat.word_select(n, size) for n in range(slots - 1)]
        kept = [part & (slot > n).replicate(size) for n, part in enumerate(before)]
        return Cat(Mux(slot == n, value, part) for n, part in enumerate([*kept, C(0, size)]))
