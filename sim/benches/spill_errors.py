"""Errors while tensors without room on chip go to DRAM and come back."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge

from hw.host.register_map import Error
from hw.isa.instruction import Unit
from hw.isa.payload import Gather, Mem, Scatter, TokenRun
from sim.benches.faulty import DECERR, LIMIT, SLVERR, go, system
from sim.benches.network import start
from sim.system.trace import DONE, instruction_times


@cocotb.test()
async def spilled_tensors(dut: Any) -> None:
    """Errors where tensors go to DRAM and where they come back; a window that ends before them."""
    faulty = await system(dut)
    host, program = faulty.host, faulty.program
    answer = await faulty.recovers()
    times = instruction_times(program, np.array(answer["trace"]))
    bodies = [instr.body for instr in program.instructions()]
    stores = {n: body for n, body in enumerate(bodies) if isinstance(body, Scatter)}
    back, load = next(
        (n, body) for n, body in enumerate(bodies)
        if isinstance(body, Gather) and body.mem is Mem.RESIDUAL
    )  # fmt: skip

    def last_beat(run: TokenRun) -> int:
        return run.dram + (run.beats - 1) * host.bus

    dut.fault.value, dut.fault_addr.value = SLVERR, host.window + last_beat(stores[min(stores)])
    await faulty.fails(Error.AXI_WRITE, int(Unit.STORE), faulty.image())
    dut.fault.value = 0
    await faulty.recovers()

    # The fault answers reads and writes alike: it begins when what is read has been written.
    await host.load(0, faulty.image().tobytes())
    await start(host, program, LIMIT)
    written = [
        n for n, s in stores.items() if n < back and s.dram <= last_beat(load) <= last_beat(s)
    ]
    for _ in range(int(times[written, DONE].max())):
        await FallingEdge(dut.clk)
    dut.fault.value, dut.fault_addr.value = DECERR, host.window + last_beat(load)
    await faulty.ends(Error.AXI_READ, int(Unit.LOAD))
    dut.fault.value = 0
    await faulty.recovers()

    end = max(map(last_beat, stores.values())) + host.bus
    await host.load(0, faulty.image().tobytes())
    await go(host, program, host.window, end - 1, program.entry)
    await faulty.ends(Error.OUTSIDE_WINDOW, int(Unit.STORE))
    await faulty.recovers()
