"""What the benches of LOAD and STORE share: one unit's ports, done pulses, faults and stops."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from cocotb.triggers import FallingEdge, ReadOnly

from sim.kit.axi_model import AxiMemory
from sim.kit.bench import drive, start

#: DRAM addresses of the window: near the end of a 4 KB page far up, and at the bottom.
WINDOWS = {"high": 0x98_7654_2000 - 0x400, "zero": 0}
FAULTS = ("fault", "window_fault", "bus_fault")


class Dma:
    """The unit whose ports begin with ``prefix``, on a memory that holds ``data``."""

    def __init__(self, dut: Any, prefix: str, beat_bytes: int, data: bytes, window: str) -> None:
        self.dut, self.prefix, self.base = dut, prefix, WINDOWS[window]
        self.memory = AxiMemory(dut, f"{prefix}__axi", beat_bytes, self.base, data)

    def port(self, name: str) -> Any:
        """A signal of the unit."""
        return getattr(self.dut, f"{self.prefix}__{name}")

    async def start(self, response: str, limit: int | None = None) -> None:
        """Reset with ``response`` (a channel) silent; the window has ``limit`` bytes (all)."""
        for name in ("instr__valid", "stop", f"axi__{response}__valid"):
            self.port(name).value = 0
        self.port("base").value = self.base
        self.port("limit").value = len(self.memory.data) if limit is None else limit
        await start(self.dut)

    async def wait_done(self, wanted: int) -> int:
        """Cycles until ``wanted`` done pulses; then idle, without fault or further pulses."""
        done = cycles = 0
        while done < wanted:
            await ReadOnly()
            for fault in FAULTS:
                assert not self.port(fault).value, f"unexpected {fault}"
            done += int(self.port("done").value)
            cycles += 1
            assert cycles < 300_000, f"{done} of {wanted} instructions done"
            await FallingEdge(self.dut.clk)
        assert self.memory.outstanding == 0, "done with bursts outstanding"
        for _ in range(10):
            await ReadOnly()
            assert not self.port("done").value, "more done pulses than instructions"
            assert not self.port("busy").value, "busy after the last instruction"
            await FallingEdge(self.dut.clk)
        return cycles

    async def refuses_window(self) -> None:
        """The instruction under way ends in a window fault and has issued nothing."""
        for _ in range(200):
            await FallingEdge(self.dut.clk)
        assert self.port("window_fault").value, "no window fault"
        assert not self.memory.bursts, "an address was issued"
        assert not self.port("done").value
        assert self.port("quiet").value

    async def ends_in(self, fault: str) -> None:
        """The instructions end in ``fault``, after which the unit is quiet."""
        await self.memory.until_quiet(self.port("quiet"))
        for name in FAULTS:
            assert self.port(name).value == (name == fault), f"{name}, not {fault} alone"

    async def refuses(self, payloads: Iterable[int], harmless: Callable[[], bool]) -> None:
        """Every instruction raises ``fault`` and leaves the unit quiet; a reset clears it.

        ``harmless`` tells whether nothing has happened that must not.
        """
        dut = self.dut
        await FallingEdge(dut.clk)
        for n, payload in enumerate(payloads):
            await drive(dut, f"{self.prefix}__instr", [payload], lambda: False)
            for _ in range(200):
                await FallingEdge(dut.clk)
            assert self.port("fault").value, f"no fault for illegal instruction {n}"
            assert self.port("quiet").value, f"not quiet after illegal instruction {n}"
            assert harmless(), f"illegal instruction {n} had an effect"
            dut.rst.value = 1
            await FallingEdge(dut.clk)
            dut.rst.value = 0
            await FallingEdge(dut.clk)
            assert not self.port("fault").value, "the fault outlives a reset"

    async def ends_in_bus_fault(self, at: int, response: int) -> None:
        """``response`` to the burst that covers byte ``at``: a fault, then quiet."""
        self.memory.errors[self.base + at] = response
        await self.memory.until_quiet(self.port("quiet"))
        assert self.port("bus_fault").value, "no bus fault"
        assert self.memory.covers(self.base + at), "the fault came too early"

    async def stops_after(self, cycles: int) -> None:
        """``stop`` in the middle: what is under way is completed, then all is quiet."""
        for _ in range(cycles):
            await FallingEdge(self.dut.clk)
        assert self.memory.bursts, "nothing was going on"
        self.port("stop").value = 1
        await self.memory.until_quiet(self.port("quiet"))

    def crossed_pages(self) -> bool:
        """Tell whether bursts touched more than one 4 KB page."""
        return len({addr // 4096 for addr, _ in self.memory.bursts}) > 1
