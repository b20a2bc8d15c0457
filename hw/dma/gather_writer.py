"""Data side of GATHER: bytes of the beats at hand to words of ACT or RESIDUAL."""

from typing import Any

from amaranth.hdl import C, Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.config import Config
from hw.dma.token_walk import TokenWalk, word_sizes
from hw.isa.instruction import Mem, Op
from hw.isa.layouts import payload_layout
from hw.lib.byte_window import ByteWindow
from hw.lib.ports import addr_data, write_stream

SIGN_FLIP = 0x80


def gather_members(config: Config) -> dict[str, Any]:
    """The two outputs to memories, as members of a signature."""
    bits, sizes = config.addr_bits, word_sizes(config)
    act = addr_data(bits["act"], sizes[Mem.ACT], bank=range(config.rows))
    return {
        "act_write": Out(write_stream(act)),
        "residual_write": Out(write_stream(addr_data(bits["residual"], sizes[Mem.RESIDUAL]))),
    }


def window_bytes(config: Config) -> int:
    """Bytes from which words are cut: a bus beat, or as many as fill a word."""
    return max(config.axi_bytes, *word_sizes(config).values())


class GatherWriter(wiring.Component):
    """Writes the segments of a GATHER, word by word, zeros behind the last byte of each.

    Members
    -------
    start : take ``run``; en : an instruction is in work.
    bytes_, held, final, freed : the beats at hand, see `ByteWindow`.
    valid : the word at hand is there; ``blocked`` : its write waits; ``outside`` : it lies beyond
        the memory and is not written.
    step : the word is written; ``run_end`` : it ends a run, what is left of its beats is of no
        use; ``last`` : it ends the instruction.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.window_bytes = window_bytes(config)
        self.parts = self.window_bytes // config.axi_bytes
        super().__init__(
            {
                "run": In(payload_layout(Op.GATHER)),
                "start": In(1),
                "en": In(1),
                "bytes_": In(8 * self.window_bytes),
                "held": In(range(self.parts + 1)),
                "final": In(1),
                "freed": Out(1),
                "valid": Out(1),
                "blocked": Out(1),
                "outside": Out(1),
                "step": Out(1),
                "run_end": Out(1),
                "last": Out(1),
                **gather_members(config),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        word_bytes = max(word_sizes(self.config).values())
        m.submodules.walk = walk = TokenWalk(self.config, banked=True)
        m.submodules.window = window = ByteWindow(self.window_bytes, word_bytes, self.parts)
        act, flip = Signal(), Signal()
        shown, ready = Signal(), Signal()
        word = Signal(8 * word_bytes)
        m.d.comb += [
            walk.run.eq(self.run),
            walk.start.eq(self.start),
            walk.step.eq(self.step),
            window.beat.eq(self.bytes_),
            window.held.eq(self.held),
            window.final.eq(self.final),
            window.size.eq(walk.size),
            window.step.eq(self.step),
            window.restart.eq(walk.run_end),
            self.freed.eq(window.freed),
            self.valid.eq(window.valid),
            self.run_end.eq(walk.run_end),
            self.last.eq(walk.last),
            self.outside.eq(self.en & window.valid & walk.outside),
            shown.eq(self.en & window.valid & ~walk.outside),
            self.step.eq(shown & ready),
            self.blocked.eq(shown & ~ready),
            word.eq(
                Cat(
                    (window.word.word_select(n, 8) ^ (C(SIGN_FLIP, 8) & flip.replicate(8)))
                    & (walk.size > n).replicate(8)
                    for n in range(word_bytes)
                )
            ),
        ]
        for is_mine, port in ((act, self.act_write), (~act, self.residual_write)):
            m.d.comb += [port.p.addr.eq(walk.addr), port.p.data.as_value().eq(word)]
            with m.If(is_mine):
                m.d.comb += [port.valid.eq(shown), ready.eq(port.ready)]
        m.d.comb += self.act_write.p.bank.eq(walk.bank)
        with m.If(self.start):
            m.d.sync += [act.eq(self.run.mem == Mem.ACT), flip.eq(self.run.flip)]
        return m
