"""A whole network between cocotbext-axi's host and memory, with all ten channels pausing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from cocotb.triggers import First, RisingEdge, Timer
from cocotbext.axi import (
    AddressSpace,
    AxiBus,
    AxiLiteBus,
    AxiLiteMaster,
    AxiSlave,
    MemoryRegion,
)

from hw.bus.axi import ADDR_BITS
from hw.host.register_map import Error
from hw.program.file import load_program
from sim.benches.network import FILL, RunError, check, finish, start
from sim.kit.bench_config import bench_config
from sim.system.axi_harness import ORDERS, rules
from sim.system.job import load_expected, program_file

PERIOD_NS = 4
#: Cycles that the slowest of the memories here may take for one of the fastest.
SLOWEST = 40


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """A memory and a host: where the window is, and how all ten channels pause.

    ``order`` is one of `ORDERS`. A channel pauses in a share ``pauses`` of the cycles; answers (B,
    R) also stay away for up to ``late`` cycles now and then.
    """

    base: int | None = 0  #: None: the window ends where the address space does
    order: str = "free"
    pauses: float = 0.0
    late: int = 0


class Window(MemoryRegion):
    """The program's window; an access that touches a byte of ``bad`` is answered with SLVERR."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.bad: set[int] = set()

    def _refuse(self, address: int, length: int) -> None:
        if self.bad.intersection(range(address, address + length)):
            raise OSError("a planted error")

    async def _read(self, address: int, length: int, **options: Any) -> Any:
        self._refuse(address, length)
        return await super()._read(address, length, **options)

    async def _write(self, address: int, data: bytes, **options: Any) -> None:
        self._refuse(address, len(data))
        await super()._write(address, data, **options)


class AxiHost:
    """`sim.system.host.RegisterAccess` over an `AxiLiteMaster`."""

    def __init__(self, dut: Any, registers: dict[str, int], window: int) -> None:
        self.dut, self.registers, self.window = dut, registers, window
        self.master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.bus_clk, dut.rst)

    async def write(self, name: str, value: int) -> None:
        """Write a register; fails on an error response."""
        done = await self.master.write(self.registers[name], value.to_bytes(4, "little"))
        assert not done.resp, f"write of {name}: {done.resp}"

    async def read(self, name: str) -> int:
        """Read a register; fails on an error response."""
        done = await self.master.read(self.registers[name], 4)
        assert not done.resp, f"read of {name}: {done.resp}"
        return int.from_bytes(done.data, "little")


class System:
    """One program of the job in its surroundings, after a reset."""

    def __init__(self, dut: Any, place: Surroundings, run: int = -1) -> None:
        self.dut, self.place = dut, place
        folder = Path(os.environ["POTVIT_JOB"])
        plan = json.loads((folder / "job.json").read_text())
        item = plan["runs"][run]
        self.program = load_program(folder / program_file(item["program"]))
        self.expected = load_expected(folder, item["picture"])
        self.base = (1 << ADDR_BITS) - self.program.window if place.base is None else place.base
        self.window = Window(self.program.window)
        space = AddressSpace(1 << ADDR_BITS)
        space.register_region(self.window, self.base)
        self.host = AxiHost(dut, plan["registers"], self.base)
        self.memory = AxiSlave(AxiBus.from_prefix(dut, "m_axi"), dut.bus_clk, dut.rst, space)
        self._pause()

    def _pause(self) -> None:
        rng, place = np.random.default_rng(5), self.place
        if place.order == "data":
            self.memory.write_if.w_channel.queue_occupancy_limit = -1
        answers = [self.memory.write_if.b_channel, self.memory.read_if.r_channel]
        host, memory = self.host.master, self.memory
        channels = [
            getattr(side, f"{name}_channel")
            for write, read in (
                (memory.write_if, memory.read_if), (host.write_if, host.read_if),
            )
            for side, names in ((write, ("aw", "w", "b")), (read, ("ar", "r")))
            for name in names
        ]  # fmt: skip
        assert len(channels) == 10
        for channel in channels:
            late = place.late if channel in answers else 0
            if place.pauses or late:
                seed = int(rng.integers(1 << 31))
                channel.set_pause_generator(pauses(seed, place.pauses, late))

    async def reset(self) -> None:
        """Reset for some cycles, with the order of the memory's handshakes."""
        dut = self.dut
        dut.order.value = ORDERS.index(self.place.order)
        dut.rst.value = 1
        for _ in range(8):
            await RisingEdge(dut.bus_clk)
        dut.rst.value = 0
        for _ in range(4):
            await RisingEdge(dut.bus_clk)

    async def run(self) -> npt.NDArray[np.uint8]:
        """Load, start and wait for the end; the window as it was before."""
        before = self.program.dram(self.expected["image"], FILL)
        self.window.mem[:] = before.tobytes()
        limit = SLOWEST * self.program.cycles + 50_000
        await start(self.host, self.program, watchdog=limit)
        if not self.dut.irq.value:
            timer = Timer(PERIOD_NS * limit, "ns")
            assert await First(RisingEdge(self.dut.irq), timer) is not timer, "no interrupt"
        return before

    async def is_exact(self) -> None:
        """Run to the end: every tensor is right, and no other byte has changed."""
        before = await self.run()
        await finish(self.host)
        after = np.frombuffer(bytes(self.window.mem), np.uint8)
        found = check(self.program, [self.expected], before, after)
        assert found, "nothing compared"
        for compared in found:
            assert not compared.different, str(compared)
        self.keeps_the_rules()

    async def fails(self, error: Error, unit: int, offset: int) -> None:
        """An error response to whatever touches the byte at ``offset`` ends the run in words."""
        self.window.bad.add(offset)
        await self.run()
        word = await self.host.read("ERROR")
        assert (word & 255, word >> 8 & 255) == (error, unit), f"ERROR {word:#x}"
        try:
            await finish(self.host)
        except RunError:
            self.window.bad.clear()
            self.keeps_the_rules()
            return
        raise AssertionError("a failed run reads as done")

    def keeps_the_rules(self) -> None:
        """No rule of any of the buses has been broken since the reset."""
        broken = int(self.dut.broken.value)
        names = [
            f"{bus}: {rule.name} ({rule.source}), kept by the {rule.side.value}"
            for n, (bus, rule) in enumerate(rules(bench_config()).rules)
            if broken >> n & 1
        ]
        assert not names, f"rules broken: {'; '.join(names)}"

    def seen(self) -> set[str]:
        """Situations that have occurred since the reset."""
        seen = int(self.dut.seen.value)
        return {name for n, name in enumerate(rules(bench_config()).covers) if seen >> n & 1}


def pauses(seed: int, share: float, late: int) -> Iterator[bool]:
    """Whether a channel pauses, cycle after cycle."""
    rng = np.random.default_rng(seed)
    while True:
        yield from (rng.random(16) < share).tolist()
        yield from [True] * int(rng.integers(late + 1))
