"""NORM unit: fetches residual tokens, normalises them, writes the activation buffer."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out, connect, flipped

from golden.ops.layernorm import LayerNorm
from golden.ops.psmac import MacMode
from hw.config import Config
from hw.formats.statistics import stat_layout
from hw.isa.instruction import Op
from hw.isa.layouts import payload_layout
from hw.isa.limits import MAX_IN_FLIGHT
from hw.lib.ports import ReadPort, ReadRequest, addr_data, write_stream
from hw.lib.unit_port import UnitPort
from hw.norm.datapath import LayerNormUnit, alpha_layout, gain_layout
from hw.norm.residual_feed import ResidualFeed
from hw.norm.step_walk import StepWalk, place_layout
from hw.norm.token_feed import TokenFeed

STALLS = data.StructLayout({"no_instr": 1, "root": 1, "res_read": 1, "act_write": 1})


class NormUnit(wiring.Component):
    """Executes NORM instructions (docs/architecture.md, NORM).

    ```
    instr ─┬─► TokenFeed ───────────────────► variance, root ─┐
           ├─► ResidualFeed ─► words ─► StepWalk ─► step ─► lanes ─► act_write
           └────────────────────────────────┘
    ```
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
        word = data.ArrayLayout(signed(8), config.cols)
        super().__init__(
            {
                **UnitPort(payload_layout(Op.NORM), STALLS).members,
                "res_read": Out(ReadRequest(bits["residual"], word)),
                "stat_read": Out(ReadPort(bits["token"], stat_layout(config))),
                "alpha_read": Out(ReadPort(bits["norm"], alpha_layout(config.lanes))),
                "gain_read": Out(ReadPort(bits["norm"], gain_layout(config.lanes))),
                "act_write": Out(write_stream(act)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config, instr = self.config, self.instr.p
        m.submodules.tokens = tokens = TokenFeed(config)
        m.submodules.residuals = residuals = ResidualFeed(config)
        m.submodules.walk = walk = StepWalk(config)
        m.submodules.datapath = datapath = LayerNormUnit(
            LayerNorm(channels=config.max_channels),
            lanes=config.lanes,
            tag=place_layout(config),
            word_bits=config.addr_bits["norm"],
            narrow=config.precision.has(MacMode.W4A4),
        )
        connect(m, tokens.stat_read, flipped(self.stat_read))
        connect(m, tokens.token, datapath.token)
        connect(m, residuals.read, flipped(self.res_read))
        connect(m, residuals.words, walk.words)
        connect(m, walk.step, datapath.step)
        connect(m, datapath.gain_read, flipped(self.gain_read))

        # The first walker takes an instruction from the port, the others from `waiting` once they
        # are done with the one before.
        waiting, accept = Signal.like(instr, reset_less=True), Signal()
        in_flight = Signal(range(MAX_IN_FLIGHT + 1))
        walkers = (tokens, residuals, walk)
        take = self.instr.valid & self.instr.ready
        legal = _legal(instr, config)
        m.d.comb += [
            self.instr.ready.eq(
                ~self.fault
                & tokens.free
                & residuals.free
                & walk.free
                & (in_flight != MAX_IN_FLIGHT)
            ),
            accept.eq(take & legal),
            *(walker.start.eq(accept) for walker in walkers),
            tokens.instr.eq(instr),
            residuals.instr.eq(waiting),
            walk.instr.eq(waiting),
            residuals.halt.eq(self.fault),
            walk.halt.eq(self.fault),
            self.busy.eq(in_flight != 0),
        ]
        with m.If((take & ~legal) | residuals.outside | walk.outside):
            m.d.sync += self.fault.eq(1)
        m.d.sync += in_flight.eq(in_flight + accept - self.done)
        with m.If(accept):
            m.d.sync += waiting.eq(instr)
        self._outputs(m, walk, datapath)
        return m

    def _outputs(self, m: Module, walk: StepWalk, datapath: LayerNormUnit) -> None:
        """Parameters to the lanes, results to the activation buffer, and why nothing moves."""
        write, y = self.act_write, datapath.y
        m.d.comb += [
            self.alpha_read.en.eq(walk.step.valid & walk.step.ready),
            self.alpha_read.addr.eq(walk.step.p.word),
            datapath.alphas.eq(self.alpha_read.data),
            write.valid.eq(y.valid),
            y.ready.eq(write.ready),
            write.p.addr.eq(y.p.tag.addr),
            write.p.bank.eq(y.p.tag.bank),
            write.p.half.eq(y.p.tag.half),
            write.p.data.eq(y.p.y),
            self.stall.no_instr.eq(walk.idle & ~self.instr.valid),
            self.stall.root.eq(datapath.waiting),
            self.stall.res_read.eq(walk.starved),
            self.stall.act_write.eq(write.valid & ~write.ready),
        ]
        m.d.sync += self.done.eq(y.valid & y.ready & y.p.tag.end)


def _legal(instr: Any, config: Config) -> Value:
    """Whether an instruction stays within the configuration, but for what the walkers find."""
    steps_per_word = config.cols // config.lanes
    return (
        (instr.count != 0)
        & (instr.steps != 0)
        & (instr.channels <= config.max_channels)
        & (instr.token + instr.count <= config.max_tokens)
        & (instr.p_addr + instr.steps <= config.norm_words)
        & ((instr.steps & (steps_per_word - 1)) == 0)
    )
