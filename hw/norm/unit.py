"""NORM unit: fetches residual tokens, normalises them, writes the activation buffer."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.ops.layernorm import LayerNorm
from hw.config import Config
from hw.formats.statistics import stat_layout
from hw.isa.instruction import Op
from hw.isa.layouts import payload_layout
from hw.lib.ports import ReadPort, ReadRequest, addr_data, write_stream
from hw.lib.register_queue import RegisterQueue
from hw.norm.datapath import LayerNormUnit, alpha_layout, gain_layout

STALLS = data.StructLayout({"no_instr": 1, "root": 1, "res_read": 1, "act_write": 1})
PREFETCH = 4
IN_FLIGHT = 15


class NormUnit(wiring.Component):
    """Executes NORM instructions (docs/architecture.md, NORM).

    K channels per cycle while residual reads are granted and writes taken; a token takes
    ``max(steps, 21)`` cycles at 1024 channels, the first one about 50 more. Roots and residual
    reads run ahead into the next instruction.

    ``done`` comes two cycles after an instruction's last write transfer. ``fault`` (sticky until
    reset, the unit then stands still) is an empty or oversized instruction, or an address outside
    a memory.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        bits = config.addr_bits
        act = addr_data(bits["act"], config.lanes, bank=range(config.rows), half=1)
        super().__init__(
            {
                "instr": In(stream.Signature(payload_layout(Op.NORM))),
                "done": Out(1),
                "busy": Out(1),
                "fault": Out(1),
                "stall": Out(STALLS),
                "res_read": Out(
                    ReadRequest(bits["residual"], data.ArrayLayout(signed(8), config.cols))
                ),
                "stat_read": Out(ReadPort(bits["token"], stat_layout(config))),
                "alpha_read": Out(ReadPort(bits["norm"], alpha_layout(config.lanes))),
                "gain_read": Out(ReadPort(bits["norm"], gain_layout(config.lanes))),
                "act_write": Out(write_stream(act)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        write = self.act_write.p
        tag = data.StructLayout(
            {
                "addr": write.addr.shape(), "bank": write.bank.shape(), "half": 1, "end": 1,
            }
        )  # fmt: skip
        params = LayerNorm(channels=config.max_channels)
        m.submodules.datapath = datapath = LayerNormUnit(
            params, lanes=config.lanes, tag=tag, word_bits=config.addr_bits["norm"]
        )
        wiring.connect(m, datapath.gain_read, wiring.flipped(self.gain_read))

        # Three walkers: token sums, residual words, steps. The first takes an instruction from the
        # port, the others from `waiting` once they are done with the one before.
        instr = self.instr.p
        waiting = Signal.like(instr, reset_less=True)
        halted = Signal()
        accept, token_free, fetch_free, pass_free = Signal(), Signal(), Signal(), Signal()
        inflight = Signal(range(IN_FLIGHT + 1))
        steps_per_word = config.cols // config.lanes
        legal = Signal()
        m.d.comb += [
            legal.eq(
                (instr.count != 0)
                & (instr.steps != 0)
                & (instr.channels <= config.max_channels)
                & (instr.token + instr.count <= config.max_tokens)
                & (instr.p_addr + instr.steps <= config.norm_words)
                & ((instr.steps & (steps_per_word - 1)) == 0)
            ),
            self.instr.ready.eq(
                ~halted & token_free & fetch_free & pass_free & (inflight != IN_FLIGHT)
            ),
            accept.eq(self.instr.valid & self.instr.ready & legal),
            self.fault.eq(halted),
            self.busy.eq(inflight != 0),
        ]
        with m.If(self.instr.valid & self.instr.ready & ~legal):
            m.d.sync += halted.eq(1)
        m.d.sync += inflight.eq(inflight + accept - self.done)
        with m.If(accept):
            m.d.sync += waiting.eq(instr)

        self._tokens(m, datapath, accept, token_free)
        words = self._fetch(m, accept, waiting, fetch_free, halted)
        self._pass(m, datapath, words, accept, waiting, pass_free, halted)
        return m

    def _tokens(self, m: Module, datapath: LayerNormUnit, accept: Signal, free: Signal) -> None:
        """Feed token sums to the root; the memory's output holds the next one."""
        at, left = Signal.like(self.instr.p.token), Signal.like(self.instr.p.count)
        channels, shown, read = Signal.like(self.instr.p.channels), Signal(), Signal()
        m.d.comb += [
            free.eq((left == 0) & ~shown),
            read.eq((left != 0) & (~shown | datapath.token.ready)),
            self.stat_read.en.eq(read),
            self.stat_read.addr.eq(at),
            datapath.token.valid.eq(shown),
            datapath.token.p.s1.eq(self.stat_read.data.s1),
            datapath.token.p.s2.eq(self.stat_read.data.s2),
            datapath.token.p.c.eq(channels),
        ]
        m.d.sync += shown.eq(read | (shown & ~datapath.token.ready))
        with m.If(read):
            m.d.sync += [at.eq(at + 1), left.eq(left - 1)]
        with m.If(accept):
            new = self.instr.p
            m.d.sync += [at.eq(new.token), left.eq(new.count), channels.eq(new.channels)]

    def _fetch(
        self, m: Module, accept: Signal, waiting: Any, free: Signal, halted: Signal
    ) -> RegisterQueue:
        """Prefetch residual words, consecutive over an instruction, into a short queue."""
        config, req = self.config, self.res_read.req
        m.submodules.words = queue = RegisterQueue(self.res_read.data.shape(), PREFETCH)
        addr = Signal(range(max(config.residual_words, 1 << 16) + 1))
        words_per_token = Signal.like(self.instr.p.steps)
        word, left = Signal.like(words_per_token), Signal.like(self.instr.p.count)
        coming, fire, outside, pending = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            free.eq(~pending),
            outside.eq((left != 0) & (addr >= config.residual_words)),
            req.valid.eq((left != 0) & ~outside & ~halted & (queue.level + coming < PREFETCH)),
            req.p.eq(addr),
            fire.eq(req.valid & req.ready),
            queue.i.valid.eq(coming),
            queue.i.p.eq(self.res_read.data),
        ]
        m.d.sync += coming.eq(fire)
        with m.If(fire):
            m.d.sync += [addr.eq(addr + 1), word.eq(word - 1)]
            with m.If(word == 1):
                m.d.sync += [word.eq(words_per_token), left.eq(left - 1)]
        with m.If(outside):
            m.d.sync += halted.eq(1)
        with m.If(pending & (left == 0)):
            per_token = waiting.steps >> (config.cols // config.lanes - 1)
            m.d.sync += [
                addr.eq(waiting.r_addr), left.eq(waiting.count), pending.eq(0),
                words_per_token.eq(per_token), word.eq(per_token),
            ]  # fmt: skip
        with m.If(accept):
            m.d.sync += pending.eq(1)
        return queue

    def _pass(
        self,
        m: Module,
        datapath: LayerNormUnit,
        words: RegisterQueue,
        accept: Signal,
        waiting: Any,
        free: Signal,
        halted: Signal,
    ) -> None:
        """Walk the steps of every token: lanes, parameters and destination."""
        config, step = self.config, datapath.step
        pending, left = Signal(), Signal.like(waiting.count)
        current = Signal.like(waiting, reset_less=True)
        at, bank = Signal.like(current.steps), Signal(range(config.rows))
        row = Signal(17)
        steps_per_word = config.cols // config.lanes
        addr, outside, fire = Signal(18), Signal(), Signal()
        end_token, end, start = Signal(), Signal(), Signal()
        part = at[0] if steps_per_word == 2 else 0
        lanes = words.o.p.as_value().word_select(part, 8 * config.lanes)
        m.d.comb += [
            free.eq(~pending),
            addr.eq(row + (at >> 1)),
            outside.eq((left != 0) & (addr >= config.act_words)),
            end_token.eq(at == current.steps - 1),
            end.eq(end_token & (left == 1)),
            step.valid.eq((left != 0) & words.o.valid & ~outside & ~halted),
            fire.eq(step.valid & step.ready),
            words.o.ready.eq(fire & (at[0] if steps_per_word == 2 else 1)),
            step.p.q.as_value().eq(lanes),
            step.p.last.eq(end_token),
            step.p.shift.eq(current.shift),
            step.p.tag.addr.eq(addr),
            step.p.tag.bank.eq(bank),
            step.p.tag.half.eq(at[0]),
            step.p.tag.end.eq(end),
            step.p.word.eq(current.p_addr + at),
            self.alpha_read.en.eq(fire),
            self.alpha_read.addr.eq(step.p.word),
            datapath.alphas.eq(self.alpha_read.data),
            start.eq(pending & ((left == 0) | (fire & end))),
            self.act_write.valid.eq(datapath.y.valid),
            datapath.y.ready.eq(self.act_write.ready),
            self.act_write.p.addr.eq(datapath.y.p.tag.addr),
            self.act_write.p.bank.eq(datapath.y.p.tag.bank),
            self.act_write.p.half.eq(datapath.y.p.tag.half),
            self.act_write.p.data.eq(datapath.y.p.y),
            self.stall.no_instr.eq((left == 0) & ~pending & ~self.instr.valid),
            self.stall.root.eq(datapath.waiting),
            self.stall.res_read.eq((left != 0) & ~words.o.valid),
            self.stall.act_write.eq(self.act_write.valid & ~self.act_write.ready),
        ]
        m.d.sync += self.done.eq(datapath.y.valid & datapath.y.ready & datapath.y.p.tag.end)
        with m.If(outside):
            m.d.sync += halted.eq(1)
        with m.If(fire):
            m.d.sync += at.eq(at + 1)
            with m.If(end_token):
                wrap = bank == config.rows - 1
                m.d.sync += [at.eq(0), left.eq(left - 1), bank.eq(Mux(wrap, 0, bank + 1))]
                with m.If(wrap):
                    m.d.sync += row.eq(row + current.d_stride)
        with m.If(start):
            m.d.sync += [
                current.eq(waiting), left.eq(waiting.count), row.eq(waiting.d_addr),
                bank.eq(0), at.eq(0), pending.eq(0),
            ]  # fmt: skip
        with m.If(accept):
            m.d.sync += pending.eq(1)
