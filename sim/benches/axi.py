"""Whole networks on cocotbext-axi: a host and a memory that others wrote, and the rules watched."""

from __future__ import annotations

from typing import Any

import cocotb

from hw.host.register_map import Error
from hw.isa.instruction import UNIT_OF, Op, Unit
from hw.isa.payload import Load, Store, TokenRun
from sim.benches.axi_system import Surroundings, System

SEQUENCER = len(Unit)

PLACES = {
    "zero": Surroundings(),
    "odd": Surroundings(base=0x98_7654_3240, pauses=0.3),
    "end": Surroundings(base=None, order="together", pauses=0.1),
    "address": Surroundings(base=0x1_0FC0, order="address", pauses=0.1),
    "late": Surroundings(base=0x40, order="data", late=60),
}

#: What every place must have shown, and what its own surroundings are for.
ALWAYS = {
    "read.ar_long_burst", "read.whole_burst", "write.aw_long_burst", "write.response",
    "host.write_answered", "host.read_answered",
}  # fmt: skip
HOST = {"host.b_waits", "host.r_waits"}
SHOWN = {
    "zero": {"read.two_unanswered"},
    "odd": {
        f"{bus}_waits" for bus in ("read.ar", "read.r", "write.aw", "write.w", "host.b", "host.r")
    },
    "end": {"write.aw_waits", "write.w_waits"},
    "address": {"write.w_waits"},
    "late": {"write.w_before_aw_is_taken", "read.two_unanswered"},
}


@cocotb.test()
@cocotb.parametrize(place=list(PLACES))
async def network(dut: Any, place: str) -> None:
    """A program with every stored tensor, in one of the `PLACES`."""
    system = System(dut, PLACES[place])
    await system.reset()
    await system.is_exact()
    for _ in range(64):  # a host that pauses at random: reads until an answer has met a pause
        if not SHOWN[place] & HOST - system.seen():
            break
        await system.host.read("STATUS")
    missing = (ALWAYS | SHOWN[place]) - system.seen()
    assert not missing, f"never seen: {', '.join(sorted(missing))}"


@cocotb.test()
async def errors(dut: Any) -> None:
    """SLVERR at the program and at every kind of access, and an exact run after each."""
    system = System(dut, Surroundings(base=0x2_0000, pauses=0.05), run=0)
    await system.reset()
    program = system.program
    cases = [(Error.AXI_READ, SEQUENCER, program.entry)]
    moves = [b for i in program.instructions() if isinstance(b := i.body, Load | Store | TokenRun)]
    for op in (Op.LOAD, Op.GATHER, Op.STORE, Op.SCATTER):
        reads = UNIT_OF[op] is Unit.LOAD
        offset = next((body.dram for body in moves if body.op is op), None)
        assert offset is not None, f"the program has no {op.name}"
        cases.append((Error.AXI_READ if reads else Error.AXI_WRITE, int(UNIT_OF[op]), offset))
    for error, unit, offset in cases:
        await system.fails(error, unit, offset)
    await system.is_exact()
