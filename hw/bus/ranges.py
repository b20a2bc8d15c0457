"""Evenly spaced ranges of the DRAM window, one after the other."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.bus.burst import LIMIT_BITS
from hw.isa.payload import Gather


def ranges_layout(beats_bits: int) -> data.StructLayout:
    """``runs`` ranges of ``beats``, the first at ``offset``, each ``pitch`` bytes further on."""
    return data.StructLayout(
        {
            "offset": LIMIT_BITS,
            "beats": beats_bits,
            "runs": Gather.width("runs"),
            "pitch": Gather.width("pitch"),
        }
    )


class RangeWalk(wiring.Component):
    """Hands on the ranges of a job, the first in the cycle in which the job comes.

    The offset has a bit more than the window has, so that none comes round to its beginning:
    what lies behind 2^32 is outside, and then no further range follows. Nor does one behind an
    offset that is no multiple of ``beat_bytes``: the splitter refuses that one. So what is kept
    and added has no bits below a beat.

    Members
    -------
    i : jobs of at least one range; taken with the first of it.
    o : ``offset`` and ``beats`` of a range.
    more : of the job at hand, further ranges follow.
    """

    def __init__(self, beats_bits: int, beat_bytes: int) -> None:
        self.grid = (beat_bytes - 1).bit_length()
        range_ = data.StructLayout({"offset": LIMIT_BITS + 1, "beats": beats_bits})
        super().__init__(
            {
                "i": In(stream.Signature(ranges_layout(beats_bits))),
                "o": Out(stream.Signature(range_)),
                "more": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        grid, new = self.grid, self.i.p
        left = Signal.like(new.runs)
        beats = Signal.like(new.beats, reset_less=True)
        # In beats.
        at = Signal(len(self.o.p.offset) - grid, reset_less=True)
        kept = Signal(len(new.pitch) - grid, reset_less=True)
        pitch = Signal.like(kept)
        m.d.comb += [
            self.more.eq(left != 0),
            self.o.valid.eq(self.more | self.i.valid),
            self.i.ready.eq(self.o.ready & ~self.more),
        ]
        with m.If(self.more):
            m.d.comb += [
                self.o.p.offset.eq(at << grid), self.o.p.beats.eq(beats), pitch.eq(kept),
            ]  # fmt: skip
        with m.Else():
            m.d.comb += [
                self.o.p.offset.eq(new.offset),
                self.o.p.beats.eq(new.beats),
                pitch.eq(new.pitch[grid:]),
            ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += at.eq(self.o.p.offset[grid:] + pitch)
            with m.If(self.more):
                m.d.sync += left.eq(left - 1)
            with m.Else():
                m.d.sync += [
                    beats.eq(new.beats), kept.eq(new.pitch[grid:]), left.eq(new.runs - 1),
                ]  # fmt: skip
        return m
