"""Data side of the LOAD unit: beats in order to words of the on-chip memories."""

from typing import Any

from amaranth.hdl import C, Cat, Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.bus.axi import RESP_OKAY, read_layout
from hw.config import Config
from hw.dma.patch_address import PatchAddress
from hw.formats.memories import Space, memories
from hw.isa.instruction import PAYLOAD_BITS, Mem, Op
from hw.isa.layouts import payload_layout
from hw.lib.gearbox import Gearbox
from hw.lib.ports import WritePort, addr_data, write_stream

STREAM, NORM, GELU, CONST, PATCH = range(5)
MEMORIES = {STREAM: Mem.STREAM, NORM: Mem.NORM, GELU: Mem.GELU, CONST: Mem.CONST}
SIGN_FLIP = 0x80


def job_layout() -> data.StructLayout:
    """Payload of LOAD or PATCH and the index of its destination (`STREAM` .. `PATCH`)."""
    return data.StructLayout({"unit": range(5), "payload": PAYLOAD_BITS})


def write_members(config: Config) -> dict[str, Any]:
    """The five outputs to memories, as members of a signature."""
    bits = config.addr_bits
    patch = addr_data(bits["act"], config.act_bytes, bank=range(config.rows))
    return {
        "stream_write": Out(write_stream(addr_data(bits["stream"], config.stream_bytes))),
        "norm_write": Out(write_stream(addr_data(bits["norm"], config.norm_bytes))),
        "gelu_write": Out(WritePort(data.StructLayout({"index": 8, "byte": 8}))),
        "const": Out(stream.Signature(data.ArrayLayout(signed(16), config.cols))),
        "patch_write": Out(write_stream(patch)),
    }


class LoadWriter(wiring.Component):
    """Writes the beats of one job after the other; one cycle between jobs.

    Members
    -------
    job : its beats follow on ``r``; legal but for its beats being enough and, for PATCH,
        its addresses, which show on the way.
    drain : take and drop all beats, write nothing, finish nothing.
    done : pulses the cycle after a job's last transfer.
    illegal, bus_fault : pulses on such a job, and on an error response, whose beat is dropped.
    freed : a beat or word of constants is used up.
    active : a job is in work; ``starved`` : it waits for data; ``blocked`` : a write waits.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(
            {
                "job": In(stream.Signature(job_layout())),
                "r": In(stream.Signature(read_layout(config.axi_bytes))),
                "drain": In(1),
                "done": Out(1),
                "illegal": Out(1),
                "bus_fault": Out(1),
                "freed": Out(1),
                "active": Out(1),
                "starved": Out(1),
                "blocked": Out(1),
                **write_members(config),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        rows = memories(config)
        sizes = (*(rows[Space(memory)].moved for memory in MEMORIES.values()), config.act_bytes)
        m.submodules.gearbox = gearbox = Gearbox(config.axi_bytes, sizes)
        m.submodules.patches = patches = PatchAddress(config)

        active, ended = self.active, Signal()
        unit, addr = Signal(range(5)), Signal(16)
        beats, words = Signal(16), Signal(16)
        last, pop, last_pop, dropping, finish, ok, good = (Signal() for _ in range(7))
        m.d.comb += [
            ok.eq(active & ~self.drain),
            last.eq(words == 1),
            pop.eq(gearbox.o.valid & gearbox.o.ready),
            last_pop.eq(pop & last),
            dropping.eq(ended | last_pop),
            gearbox.select.eq(unit),
            gearbox.last.eq(last),
            gearbox.i.p.eq(self.r.p.data),
            # What comes with an error is not offered: `drain` follows too late to hold it back.
            good.eq(self.r.p.resp == RESP_OKAY),
            gearbox.i.valid.eq(self.r.valid & good & ok & (beats != 0) & ~dropping),
            self.r.ready.eq(self.drain | (ok & (beats != 0) & (gearbox.i.ready | dropping))),
            self.bus_fault.eq(self.r.valid & self.r.ready & ~good),
            finish.eq(ok & (beats == 0) & dropping),
            self.job.ready.eq((~active | finish) & ~self.drain),
            self.starved.eq(ok & (beats != 0) & gearbox.i.ready & ~self.r.valid),
            self.blocked.eq(ok & gearbox.o.valid & ~gearbox.o.ready),
            self.freed.eq(gearbox.freed & (unit == CONST)),
            self.illegal.eq(ok & (beats == 0) & ~dropping & ~gearbox.o.valid),
            patches.step.eq(pop & (unit == PATCH)),
        ]
        with m.If(unit == PATCH):
            m.d.comb += last.eq(patches.last)
            with m.If(ok & gearbox.o.valid & patches.outside):
                m.d.comb += self.illegal.eq(1)
        self._outputs(m, gearbox, patches, unit, addr, ok)

        m.d.sync += self.done.eq(finish)
        with m.If(self.r.valid & self.r.ready):
            m.d.sync += beats.eq(beats - 1)
        with m.If(pop):
            m.d.sync += [addr.eq(addr + 1), words.eq(words - 1), ended.eq(last)]
        with m.If(finish):
            m.d.sync += active.eq(0)
        load = data.View(payload_layout(Op.LOAD), self.job.p.payload)
        patch = data.View(payload_layout(Op.PATCH), self.job.p.payload)
        m.d.comb += patches.instr.eq(patch)
        with m.If(self.job.valid & self.job.ready):
            m.d.comb += patches.start.eq(1)
            m.d.sync += [
                active.eq(1), ended.eq(0), unit.eq(self.job.p.unit),
                addr.eq(load.addr), words.eq(load.words), beats.eq(load.beats),
            ]  # fmt: skip
            with m.If(self.job.p.unit == PATCH):
                m.d.sync += beats.eq(patch.beats)
        return m

    def _outputs(
        self, m: Module, gearbox: Gearbox, patches: PatchAddress, unit: Signal, addr: Signal,
        ok: Signal,
    ) -> None:  # fmt: skip
        """Offer the word at hand to its destination."""
        word, shown = gearbox.o.p.as_value(), gearbox.o.valid & ok
        flip = C(int.from_bytes(bytes([SIGN_FLIP] * self.config.act_bytes)))
        for port in (self.stream_write, self.norm_write, self.patch_write):
            m.d.comb += [
                port.p.addr.eq(addr),
                port.p.data.as_value().eq(word),
            ]
        m.d.comb += [
            self.patch_write.p.addr.eq(patches.addr),
            self.patch_write.p.bank.eq(patches.bank),
            self.patch_write.p.data.as_value().eq(word[: len(flip)] ^ flip),
            self.const.p.as_value().eq(word),
            self.gelu_write.payload.eq(Cat(addr[:8], word[:8])),
        ]
        with m.Switch(unit):
            for index, port in (
                (STREAM, self.stream_write), (NORM, self.norm_write), (CONST, self.const),
            ):  # fmt: skip
                with m.Case(index):
                    m.d.comb += [port.valid.eq(shown), gearbox.o.ready.eq(ok & port.ready)]
            with m.Case(GELU):
                m.d.comb += [self.gelu_write.en.eq(shown), gearbox.o.ready.eq(ok)]
            with m.Case(PATCH):
                inside = shown & ~patches.outside
                m.d.comb += [
                    self.patch_write.valid.eq(inside),
                    gearbox.o.ready.eq(ok & ~patches.outside & self.patch_write.ready),
                ]
