"""A bench that only lets the clock run: for what a model writes by itself."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import FallingEdge

from sim.kit.bench import start


@cocotb.test()
async def idle(dut: Any) -> None:
    """Some cycles after a reset."""
    await start(dut)
    for _ in range(100):
        await FallingEdge(dut.clk)
