"""Sequencer: decodes the program in order, feeds five issue queues, orders them by semaphores."""

from typing import Any

from amaranth.hdl import C, Cat, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.ops.psmac import MacMode
from hw.config import Config
from hw.isa.instruction import (
    HEADER,
    INSTR_BYTES,
    PAYLOAD,
    PAYLOAD_BITS,
    UNIT_OF,
    Op,
    Unit,
)
from hw.isa.layouts import header_layout
from hw.isa.payload import NARROW_FIELDS
from hw.lib.unit_port import IssuePort
from hw.sequencer.issue_queue import IssueQueue
from hw.sequencer.semaphores import UNITS, Semaphores


def used_bits(op: Op, config: Config) -> int:
    """Payload bits that ``op`` defines on ``config``; the others must be zero."""
    left = None if config.precision.has(MacMode.W4A4) else NARROW_FIELDS.get(op)
    return sum(width for name, width in PAYLOAD[op] if name != left)


def ops_of(unit: Unit) -> list[Op]:
    """The opcodes of a unit; where there are two, a bit behind the payload tells the second."""
    return [op for op, user in UNIT_OF.items() if user is unit]


def queue_bits(unit: Unit, config: Config) -> int:
    """Payload bits in the queue of a unit, with the bit that tells its opcodes apart."""
    ops = ops_of(unit)
    return max(used_bits(op, config) for op in ops) + len(ops) - 1


def _offered(queued: Value, unit: Unit) -> Value:
    """What a unit is offered of the bits in its queue: the bit that tells its opcodes is last."""
    if len(ops_of(unit)) == 1:
        return queued
    return Cat(queued[:-1], C(0, PAYLOAD_BITS - len(queued)), queued[-1])


class Sequencer(wiring.Component):
    """Dispatches one instruction per cycle in program order while its queue has room.

    An instruction is legal if its opcode is known and every bit without a meaning is zero. One that
    is not leaves ``i`` like any other but reaches no queue, and none follows it.

    Members
    -------
    i : instructions. ``ended``: no more will come (a program without END is illegal).
    issue[u] : to unit u; payloads of `PAYLOAD_BITS` (LOAD, STORE: see `either_layout`).
    dispatched : pulse per instruction. finished : END reached and every unit idle.
    illegal : level, from the cycle after an illegal instruction until reset, its tag in
        ``illegal_tag``; also while ``ended`` and no instruction is left.
    overflow : a semaphore overflowed (pulse).
    tag[u] : of the oldest instruction in flight of u; for error reports.
    missing[u], starved[u] : why u lacks work, see `IssueQueue`.
    start[u], start_tag[u] : u accepts an instruction (pulse), its tag.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(
            {
                "i": In(stream.Signature(8 * INSTR_BYTES)),
                "ended": In(1),
                "issue": Out(IssuePort(PAYLOAD_BITS)).array(UNITS),
                "dispatched": Out(1),
                "finished": Out(1),
                "illegal": Out(1),
                "illegal_tag": Out(8),
                "overflow": Out(1),
                "tag": Out(8).array(UNITS),
                "missing": Out(UNITS).array(UNITS),
                "starved": Out(UNITS),
                "start": Out(UNITS),
                "start_tag": Out(8).array(UNITS),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.semaphores = semaphores = Semaphores()
        queues = {}
        for u in Unit:
            queues[u] = queue = IssueQueue(queue_bits(u, self.config), self.config.queue_depth)
            m.submodules[f"{u.name.lower()}_queue"] = queue
            port = self.issue[u]
            m.d.comb += [
                port.instr.p.eq(_offered(queue.o.p, u)),
                port.instr.valid.eq(queue.o.valid),
                queue.o.ready.eq(port.instr.ready),
                queue.done.eq(port.done),
                semaphores.signal[u].eq(queue.signal),
                semaphores.wait[u].eq(queue.wait),
                queue.fits.eq(semaphores.fits[u]),
                semaphores.take[u].eq(queue.take),
                self.tag[u].eq(queue.tag),
                self.missing[u].eq(queue.missing),
                self.starved[u].eq(queue.starved),
                self.start[u].eq(queue.o.valid & queue.o.ready),
                self.start_tag[u].eq(queue.o_tag),
            ]
        idle = Cat(queue.idle for queue in queues.values()).all()
        idle &= ~Cat(port.busy for port in self.issue).any()
        m.d.comb += self.overflow.eq(semaphores.overflow)
        self._dispatch(m, queues, idle)
        return m

    def _dispatch(self, m: Module, queues: dict[Unit, IssueQueue], idle: Any) -> None:
        width = sum(bits for _, bits in HEADER)
        header = Signal(header_layout())
        payload = Signal(PAYLOAD_BITS)
        # What was wrong is a register: every bit of an instruction decides about it, and taking
        # it from the fetch queue cannot wait for that.
        wrong, found = Signal(), Signal()
        m.d.comb += [
            wrong.eq(1),
            Cat(header, payload).eq(self.i.p),
            self.dispatched.eq(self.i.valid & self.i.ready & ~wrong),
        ]
        reserved = header.reserved != 0
        if width < len(header.as_value()):
            reserved |= header.as_value()[width:] != 0
        m.d.sync += found.eq(found | (self.i.valid & wrong))
        with m.If(~found):
            m.d.sync += self.illegal_tag.eq(header.tag)
        for queue in queues.values():
            m.d.comb += [
                queue.i.p.signal.eq(header.signal),
                queue.i.p.tag.eq(header.tag),
                queue.i.p["wait"].eq(Cat(header[f"wait_{u.name.lower()}"] for u in Unit)),
            ]
        with m.Switch(header.opcode):
            for op in Op:
                with m.Case(op):
                    m.d.comb += wrong.eq(reserved | (payload[used_bits(op, self.config) :] != 0))
                    if op is Op.END:
                        m.d.comb += self.finished.eq(self.i.valid & ~found & ~wrong & idle)
                        m.d.comb += self.i.ready.eq(~found & idle)
                        continue
                    unit = UNIT_OF[op]
                    queue = queues[unit]
                    several = len(ops_of(unit)) - 1
                    used = payload[: queue_bits(unit, self.config) - several]
                    m.d.comb += [
                        queue.i.p.payload.eq(Cat(used, C(op is ops_of(unit)[-1], several))),
                        queue.i.valid.eq(self.i.valid & ~found & ~wrong),
                        self.i.ready.eq(queue.i.ready & ~found),
                    ]
        m.d.comb += self.illegal.eq(found | (self.ended & ~self.i.valid))
