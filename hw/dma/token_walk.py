"""Where the words of a token run lie on chip: bank, address and bytes, one word after the other."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.config import Config
from hw.formats.memories import Space, memories
from hw.isa.instruction import Mem, Op
from hw.isa.layouts import payload_layout

#: One step from inside any memory (a line's and a stride) does not wrap.
ADDR_BITS = 18


def word_sizes(config: Config) -> dict[Mem, int]:
    """Bytes of a word as a run fills it: ACT one bank's, RESIDUAL all columns'."""
    return {Mem.ACT: config.act_bytes, Mem.RESIDUAL: memories(config)[Space.RESIDUAL].moved}


class TokenWalk(wiring.Component):
    """Walks a GATHER or SCATTER: runs, lines, segments, words (docs/homes.md, Token runs).

    Two registers, bank and address, hold the beginning of the line, two that of the segment; the
    address of the word at hand is a register too, as others wait for what it decides. Nothing here
    has a reset: before the first ``start`` all outputs are undefined. With ``banked`` false the
    walk knows RESIDUAL only, which behaves as one bank.

    Members
    -------
    start : take ``run`` (GATHER and SCATTER have the same fields); ``step`` : to the next word.
    bank, addr : of the word at hand (``bank`` in ACT only); ``outside`` : beyond the memory.
    size : bytes of the segment in this word, from its first one on.
    run_end : it is the last word of a run; ``last`` : of the instruction.
    """

    def __init__(self, config: Config, *, banked: bool) -> None:
        self.config = config
        self.banked = banked
        self.sizes = word_sizes(config)
        if not banked:
            self.sizes = {Mem.RESIDUAL: self.sizes[Mem.RESIDUAL]}
        super().__init__(
            {
                "run": In(payload_layout(Op.GATHER)),
                "start": In(1),
                "step": In(1),
                "bank": Out(range(config.rows)),
                "addr": Out(ADDR_BITS),
                "size": Out(range(max(self.sizes.values()) + 1)),
                "run_end": Out(1),
                "last": Out(1),
                "outside": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        run = self.run
        act = Signal(reset_less=True)
        end_segment, end_line = Signal(), Signal()
        left, segs, rows, runs = (
            Signal.like(run[name], name=f"{name}_left", reset_less=True)
            for name in ("seg_bytes", "segs", "rows", "runs")
        )
        whole = {
            name: Signal.like(run[name], name=name, reset_less=True)
            for name in ("seg_bytes", "segs", "rows")
        }
        word = Mux(act, self.sizes.get(Mem.ACT, 0), self.sizes[Mem.RESIDUAL])
        m.d.comb += [
            end_segment.eq(left <= word),
            end_line.eq(end_segment & (segs == 1)),
            self.size.eq(Mux(end_segment, left, word)),
            self.run_end.eq(end_line & (rows == 1)),
            self.last.eq(self.run_end & (runs == 1)),
        ]
        with m.If(self.step):
            m.d.sync += left.eq(Mux(end_segment, whole["seg_bytes"], left - word))
            with m.If(end_segment):
                m.d.sync += segs.eq(Mux(segs == 1, whole["segs"], segs - 1))
            with m.If(end_line):
                m.d.sync += rows.eq(Mux(rows == 1, whole["rows"], rows - 1))
            with m.If(self.run_end):
                m.d.sync += runs.eq(runs - 1)
        with m.If(self.start):
            m.d.sync += [
                act.eq(self.banked & (run.mem == Mem.ACT)), runs.eq(run.runs),
                left.eq(run.seg_bytes), segs.eq(run.segs), rows.eq(run.rows),
                *(whole[name].eq(run[name]) for name in whole),
            ]  # fmt: skip
        self._address(m, act, end_segment, end_line)
        limits = {memory: memories(self.config)[Space(memory)].words for memory in self.sizes}
        beyond = {memory: _at_least(self.addr, words) for memory, words in limits.items()}
        m.d.comb += self.outside.eq(Mux(act, beyond.get(Mem.ACT, 0), beyond[Mem.RESIDUAL]))
        return m

    def _address(self, m: Module, act: Signal, end_segment: Signal, end_line: Signal) -> None:
        """Bank and address of the line, the segment and the word at hand."""
        run, banks = self.run, self.config.rows
        at, line, segment = (
            Signal(ADDR_BITS, name=name, reset_less=True) for name in ("at", "line", "segment")
        )
        stride = Signal.like(run.stride, reset_less=True)
        line_step = Signal.like(run.line_addr, reset_less=True)
        from_line, to = Signal(ADDR_BITS), Signal(ADDR_BITS)
        wrap = Signal()
        m.d.comb += [
            from_line.eq(line + line_step),
            to.eq(Mux(end_line, from_line, segment) + Mux(wrap, stride, 0)),
            # RESIDUAL: every segment wraps, no line does.
            wrap.eq(~end_line),
            self.addr.eq(at),
        ]
        with m.If(self.step):
            m.d.sync += at.eq(Mux(end_segment, to, at + 1))
            with m.If(end_segment):
                m.d.sync += segment.eq(to)
            with m.If(end_line):
                m.d.sync += line.eq(to)
        with m.If(self.start):
            m.d.sync += [
                line.eq(run.addr), segment.eq(run.addr), at.eq(run.addr),
                stride.eq(run.stride), line_step.eq(run.line_addr),
            ]  # fmt: skip
        if not self.banked:
            return
        bank, line_bank, bank_step = (
            Signal(range(banks), name=name, reset_less=True)
            for name in ("bank", "line_bank", "bank_step")
        )
        behind, to_bank = Signal(range(2 * banks)), Signal(range(banks))
        m.d.comb += [
            self.bank.eq(bank),
            behind.eq(Mux(end_line, line_bank + bank_step, bank + 1)),
            to_bank.eq(Mux(behind >= banks, behind - banks, behind)),
        ]
        with m.If(act):
            m.d.comb += wrap.eq(behind >= banks)
        with m.If(self.step & end_segment):
            m.d.sync += bank.eq(to_bank)
        with m.If(self.step & end_line):
            m.d.sync += line_bank.eq(to_bank)
        with m.If(self.start):
            m.d.sync += [
                bank.eq(run.bank), line_bank.eq(run.bank), bank_step.eq(run.line_bank),
            ]  # fmt: skip


def run_legal(run: data.View, config: Config) -> Value:
    """Nothing of a GATHER or SCATTER is empty, its runs begin with a beat if the first one does."""
    some = Cat(run[name].any() for name in ("seg_bytes", "segs", "rows", "runs", "beats")).all()
    step = run.pitch[: (config.axi_bytes - 1).bit_length()]
    return some & ((run.runs == 1) | ~step.any())


def _at_least(addr: Value, words: int) -> Value:
    """``addr >= words``; a power of two takes no comparison."""
    bits = (words - 1).bit_length()
    return Cat(addr[bits:].any(), addr[:bits] >= words).any()
