"""The memory that unit benches run on: words come back, and collisions answer junk."""

from __future__ import annotations

from typing import Any

import cocotb
from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from cocotb.triggers import FallingEdge

from hw.lib.memory import Memory
from sim.kit.bench import start

#: Old and new words of the collisions; equal ones show that no bit is simply passed on.
PAIRS = ((0x00, 0xFF), (0x5A, 0x5A), (0x0F, 0x3C), (0xFF, 0x00))


class DelayLine(wiring.Component):
    """``o`` is ``i`` of `DEPTH` cycles before, if a read beside a write answers the old word.

    `hw.lib.memory.Memory` does not promise that: a design as no unit may have it.
    """

    DEPTH = 8

    def __init__(self) -> None:
        super().__init__({"i": In(8), "o": Out(8)})

    def elaborate(self, platform: object) -> Module:
        """A ring: each word is read in the cycle in which its successor takes its place."""
        m = Module()
        m.submodules.mem = mem = Memory(8, self.DEPTH)
        at = Signal(range(self.DEPTH))
        m.d.sync += at.eq(at + 1)
        m.d.comb += [
            mem.rd_en.eq(1),
            mem.rd_addr.eq(at),
            mem.wr_en.eq(1),
            mem.wr_addr.eq(at),
            mem.wr_data.eq(self.i),
            self.o.eq(mem.rd_data),
        ]
        return m


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


@cocotb.test()
async def delay(dut: Any) -> None:
    """What comes out of `DelayLine` is what went in before."""
    await start(dut)
    sent = [(37 * n + 11) % 256 for n in range(40)]
    for n, word in enumerate(sent):
        dut.line__i.value = word
        await FallingEdge(dut.clk)
        if n >= DelayLine.DEPTH:
            got, want = int(dut.line__o.value), sent[n - DelayLine.DEPTH]
            assert got == want, f"word {n - DelayLine.DEPTH}: got {got:#x}, want {want:#x}"
