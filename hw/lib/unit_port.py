"""What every execution unit has beside its memory ports (docs/architecture.md, Unit interfaces)."""

from __future__ import annotations

from amaranth.hdl import ShapeLike
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out, Signature

from hw.isa.instruction import PAYLOAD, PAYLOAD_BITS


class IssuePort(Signature):
    """Between the sequencer and one unit, seen from the sequencer.

    ``instr`` : instructions in program order, their semaphores taken. ``busy`` : one is in work.
    ``done`` : pulses once an instruction, in order; what it wrote is readable in the next cycle.
    """

    def __init__(self, instr: ShapeLike) -> None:
        super().__init__({"instr": Out(stream.Signature(instr)), "busy": In(1), "done": In(1)})


class UnitPort(Signature):
    """An execution unit, seen from the unit: `IssuePort`, and what it reports.

    ``fault`` : an instruction that it may not execute; stays until reset, as does the unit.
    ``stall`` : a bit per cause that keeps the unit from going on in this cycle, for the counters.
    """

    def __init__(self, instr: ShapeLike, stalls: data.StructLayout) -> None:
        issue = IssuePort(instr).flip()
        super().__init__({**issue.members, "fault": Out(1), "stall": Out(stalls)})


def either_layout(second: str) -> data.StructLayout:
    """Instructions of a unit with two opcodes: ``payload``, and ``second`` set for the second.

    The flag is the payload's last bit, which no opcode uses, so that all units take
    `PAYLOAD_BITS`.
    """
    if max(sum(width for _, width in table) for table in PAYLOAD.values()) >= PAYLOAD_BITS:
        raise ValueError("an opcode uses the last bit of its payload, which tells two apart")
    return data.StructLayout({"payload": PAYLOAD_BITS - 1, second: 1})
