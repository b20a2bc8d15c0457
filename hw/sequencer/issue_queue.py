"""Instruction queue of one unit: waits for its semaphores, issues in order, signals when done."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.isa.limits import MAX_IN_FLIGHT
from hw.lib.fifo import Fifo
from hw.sequencer.semaphores import UNITS, WAITS

#: What is remembered of an instruction until its unit is done with it.
IN_FLIGHT = data.StructLayout({"signal": UNITS, "tag": 8})


def queued(payload_bits: int) -> data.StructLayout:
    """An instruction in a queue: header without opcode, and the payload's used bits."""
    return data.StructLayout({"signal": UNITS, "tag": 8, "wait": WAITS, "payload": payload_bits})


class IssueQueue(wiring.Component):
    """Queue of ``depth`` instructions in front of one unit.

    The oldest instruction takes its semaphores in the first cycle in which all of them fit and
    the output register is free, and is offered to the unit from the next cycle on, so that a
    unit that is still busy finds its successor waiting: no bubble between instructions.

    Members
    -------
    i : dispatched instructions. o : payloads for the unit, ``o_tag`` the tag of the one offered.
    done : the unit has finished its oldest instruction; ``signal`` pulses its consumers.
    wait, fits, take : `Semaphores` of this unit.
    missing : one-hot, the first producer for which a unit that is ready for work has to wait.
    starved : the unit is ready for work and the queue is empty.
    tag : of the oldest instruction in flight; for error reports. idle : nothing queued or in
        flight.
    """

    def __init__(self, payload_bits: int, depth: int) -> None:
        self.payload_bits = payload_bits
        self.depth = depth
        super().__init__(
            {
                "i": In(stream.Signature(queued(payload_bits))),
                "o": Out(stream.Signature(payload_bits)),
                "o_tag": Out(8),
                "done": In(1),
                "signal": Out(UNITS),
                "wait": Out(WAITS),
                "fits": In(UNITS),
                "take": Out(1),
                "missing": Out(UNITS),
                "starved": Out(1),
                "tag": Out(8),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.queue = queue = Fifo(queued(self.payload_bits), max(1, self.depth - 1))
        wiring.connect(m, wiring.flipped(self.i), queue.i)
        head = queue.o

        # In flight: a ring of registers, because `signal` answers `done` in the same cycle.
        ring = [Signal(IN_FLIGHT, name=f"in_flight_{i}") for i in range(MAX_IN_FLIGHT)]
        count = Signal(range(MAX_IN_FLIGHT + 1))
        m.d.sync += count.eq(count + self.take - self.done)
        with m.If(self.done):
            m.d.sync += [ring[i].eq(ring[i + 1]) for i in range(MAX_IN_FLIGHT - 1)]
        with m.If(self.take), m.Switch(count - self.done):
            for i in range(MAX_IN_FLIGHT):
                with m.Case(i):
                    m.d.sync += [ring[i].signal.eq(head.p.signal), ring[i].tag.eq(head.p.tag)]

        free = Signal()
        payload = Signal.like(self.o.p, reset_less=True)
        m.d.comb += [
            self.wait.eq(head.p.wait),
            self.o.p.eq(payload),
            free.eq(~self.o.valid | self.o.ready),
            self.take.eq(head.valid & self.fits.all() & free & (count != MAX_IN_FLIGHT)),
            head.ready.eq(self.take),
            self.signal.eq(ring[0].signal & self.done.replicate(UNITS)),
            self.tag.eq(ring[0].tag),
            self.idle.eq(~head.valid & (queue.level == 0) & (count == 0)),
        ]
        with m.If(free):
            m.d.sync += self.o.valid.eq(self.take)
        with m.If(self.take):
            m.d.sync += [payload.eq(head.p.payload), self.o_tag.eq(head.p.tag)]

        hungry = Signal()
        lacking = Signal(UNITS)
        m.d.comb += [
            hungry.eq(self.o.ready & ~self.o.valid),
            lacking.eq(~self.fits),
            self.starved.eq(hungry & ~head.valid),
        ]
        with m.If(hungry & head.valid):
            m.d.comb += self.missing.eq(lacking & -lacking)
        return m
