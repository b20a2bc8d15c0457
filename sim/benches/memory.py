"""The memory that unit benches run on: words come back, and collisions answer junk."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import FallingEdge

from sim.kit.bench import start

#: Old and new words of the collisions; equal ones show that no bit is simply passed on.
PAIRS = ((0x00, 0xFF), (0x5A, 0x5A), (0x0F, 0x3C), (0xFF, 0x00))


async def _cycle(dut: Any, *, read: int | None = None, write: tuple[int, int] | None = None) -> int:
    """One cycle with a read of an address, a write, or both; what the read answers."""
    dut.mem__rd_en.value = int(read is not None)
    dut.mem__rd_addr.value = read or 0
    dut.mem__wr_en.value = int(write is not None)
    dut.mem__wr_addr.value, dut.mem__wr_data.value = write or (0, 0)
    await FallingEdge(dut.clk)
    return int(dut.mem__rd_data.value)


@cocotb.test()
async def collisions(dut: Any) -> None:
    """A word that is read in the cycle of its write is neither the old nor the new one."""
    await start(dut)
    seen = 0
    for address, (old, new) in enumerate(PAIRS):
        await _cycle(dut, write=(address, old))
        assert await _cycle(dut, read=address) == old
        answers = []
        for before, after in ((old, new), (new, old)):
            answers.append(await _cycle(dut, read=address, write=(address, after)))
            assert answers[-1] not in (before, after), f"{answers[-1]:#x} passed on"
            assert await _cycle(dut, read=address) == after
            seen += 1
        assert await _cycle(dut, read=address, write=((address + 1) % 8, 1)) == old
    assert seen == 2 * len(PAIRS)
