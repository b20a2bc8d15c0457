"""The host's side of a simulated system: registers, DRAM backdoor, start and interrupt."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from cocotb.triggers import FallingEdge, First, ReadOnly, RisingEdge, Timer

CLOCK_NS = 2


class RunError(AssertionError):
    """The accelerator ended in an error, or not at all."""


class RegisterAccess(Protocol):
    """Registers by name, and the DRAM byte address of the program's ``window``."""

    window: int

    async def write(self, name: str, value: int) -> None:
        """Write a 32-bit register; fails on an error response."""

    async def read(self, name: str) -> int:
        """Read a 32-bit register."""


class Host:
    """Drives one ``potvit_system``: AXI4-Lite, backdoor of the DRAM, start and interrupt.

    ``registers`` maps register names to byte offsets, as ``potvit.json`` lists them; ``bus`` is
    the DRAM's word size in bytes. ``window`` is the DRAM byte address of the program's window.
    """

    def __init__(self, dut: Any, registers: dict[str, int], bus: int, window: int = 0) -> None:
        self.dut, self.registers, self.bus, self.window = dut, registers, bus, window
        self.undefined_seen = False

    async def reset(self, stall_rate: int = 0, seed: int = 0) -> None:
        """Reset accelerator and DRAM; set the DRAM's pauses (rate/256 of the cycles)."""
        dut = self.dut
        for name in ("awvalid", "wvalid", "bready", "arvalid", "rready"):
            getattr(dut, f"s_axil_{name}").value = 0
        for name in ("load", "dump", "fault", "fault_addr", "first", "count"):
            getattr(dut, name).value = 0
        dut.fence_first.value, dut.fence_last.value = 0, (1 << len(dut.fence_last)) - 1
        dut.stall_rate.value, dut.stall_seed.value = stall_rate, seed
        dut.rst.value = 1
        for _ in range(4):
            await FallingEdge(dut.clk)
        dut.rst.value = 0
        await FallingEdge(dut.clk)

    def fence(self, size: int) -> None:
        """From now on an access outside the first ``size`` bytes of the window breaks a rule."""
        first, last = self.window, self.window + size - 1
        if size == 0:  # nowhere
            first, last = self.bus, 0
        self.dut.fence_first.value, self.dut.fence_last.value = first, last

    async def write(self, name: str, value: int) -> None:
        """Write a 32-bit register; fails on an error response."""
        await self.write_at(self.registers[name], value)

    async def write_at(self, offset: int, value: int) -> None:
        """Write the register at byte ``offset``; fails on an error response."""
        dut = self.dut
        dut.s_axil_awaddr.value, dut.s_axil_wdata.value = offset, value
        dut.s_axil_wstrb.value = 15
        waiting = {"awvalid": "awready", "wvalid": "wready"}
        for valid in waiting:
            getattr(dut, f"s_axil_{valid}").value = 1
        dut.s_axil_bready.value = 1
        while True:
            await ReadOnly()
            taken = [v for v, r in waiting.items() if getattr(dut, f"s_axil_{r}").value]
            answer = dut.s_axil_bvalid.value and int(dut.s_axil_bresp.value) + 1
            await FallingEdge(dut.clk)
            for valid in taken:
                getattr(dut, f"s_axil_{valid}").value = 0
                del waiting[valid]
            if answer:
                dut.s_axil_bready.value = 0
                assert answer == 1, f"write of 0x{offset:03x}: response {answer - 1}"
                return

    async def read(self, name: str) -> int:
        """Read a 32-bit register."""
        return await self.read_at(self.registers[name])

    async def counter(self, offset: int) -> int:
        """Read the 64-bit counter at byte ``offset`` (the low half latches the high one)."""
        low = await self.read_at(offset)
        return low | await self.read_at(offset + 4) << 32

    async def read_at(self, offset: int) -> int:
        """Read the register at byte ``offset``; fails on an error response."""
        dut = self.dut
        dut.s_axil_araddr.value = offset
        dut.s_axil_arvalid.value = dut.s_axil_rready.value = 1
        while True:
            await ReadOnly()
            taken = bool(dut.s_axil_arready.value)
            answer = bool(dut.s_axil_rvalid.value)
            value, response = int(dut.s_axil_rdata.value), int(dut.s_axil_rresp.value)
            await FallingEdge(dut.clk)
            if taken:
                dut.s_axil_arvalid.value = 0
            if answer:
                dut.s_axil_rready.value = 0
                assert response == 0, f"read of 0x{offset:03x}: response {response}"
                return value

    async def load(self, offset: int, raw: bytes) -> None:
        """Write ``raw`` at window offset ``offset`` (a multiple of the bus width; padded)."""
        if (offset + self.window) % self.bus:
            raise ValueError(f"offset {offset} is no multiple of the bus width {self.bus}")
        words = np.frombuffer(raw + bytes(-len(raw) % self.bus), np.uint8).reshape(-1, self.bus)
        Path("load.bin").write_bytes(words[:, ::-1].tobytes())
        await self._backdoor(self.dut.load, offset, len(words))

    async def dump(self, offset: int, count: int, undefined: str = "0") -> bytes:
        """Read ``count`` bytes at window offset ``offset`` (both multiples of the bus width).

        In a simulator with four states, a hexadecimal digit with an undefined bit reads as
        ``undefined``, and ``undefined_seen`` is true from then on.
        """
        words = -(-count // self.bus)
        await self._backdoor(self.dut.dump, offset, words)
        # Beside words there are addresses (@) and comments.
        lines = [x for x in Path("dump.hex").read_text().splitlines() if x[:1] not in ("@", "/")]
        text = "".join(lines).lower()
        self.undefined_seen |= "x" in text
        text = text.replace("x", undefined)
        raw = np.frombuffer(bytes.fromhex(text), np.uint8).reshape(-1, self.bus)
        assert len(raw) == words, f"dumped {len(raw)} words of {words}"
        return raw[:, ::-1].tobytes()[:count]

    async def _backdoor(self, trigger: Any, offset: int, words: int) -> None:
        self.dut.first.value = (self.window + offset) // self.bus
        self.dut.count.value = words
        await FallingEdge(self.dut.clk)
        trigger.value = 1
        await FallingEdge(self.dut.clk)
        trigger.value = 0
        await FallingEdge(self.dut.clk)

    async def interrupt(self, limit: int) -> None:
        """Wait for the interrupt at most ``limit`` cycles; no Python runs meanwhile."""
        if not self.dut.irq.value:
            timer = Timer(CLOCK_NS * limit, "ns")
            fired = await First(RisingEdge(self.dut.irq), timer)
            if fired is timer:
                raise RunError(f"no interrupt within {limit} cycles")
        await FallingEdge(self.dut.clk)
