"""What every cocotb bench needs: reset, streams with random pauses, and memory models.

Everything is driven at the falling edge of ``clk`` and sampled in the read-only phase after it,
when combinational paths have settled: that is what the design sees at the next rising edge.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly


async def start(dut: Any, period_ns: int = 2) -> None:
    """Start the clock and hold reset for three cycles; call before anything else."""
    Clock(dut.clk, period_ns, unit="ns").start()
    dut.rst.value = 1
    for _ in range(3):
        await FallingEdge(dut.clk)
    dut.rst.value = 0


class Port:
    """Signals of one interface by name: ``Port(dut, "norm__instr").valid``."""

    def __init__(self, dut: Any, prefix: str) -> None:
        self.dut, self.prefix = dut, prefix

    def __getattr__(self, name: str) -> Any:
        return getattr(self.dut, f"{self.prefix}__{name}")


class Pauses:
    """A source of pauses: ``True`` with probability ``rate``, in bursts, from its own seed."""

    def __init__(self, rate: float, seed: int) -> None:
        self.rate, self.random, self.left = rate, random.Random(seed), 0
        self.state = False

    def __call__(self) -> bool:
        """Tell whether this cycle pauses."""
        if self.left == 0:
            self.state = self.random.random() < self.rate
            self.left = self.random.randint(1, 4)
        self.left -= 1
        return self.state


async def drive(dut: Any, prefix: str, payloads: Iterable[int], pause: Callable[[], bool]) -> None:
    """Send integers into a stream input, pausing between transfers."""
    port = Port(dut, prefix)
    port.valid.value = 0
    for payload in payloads:
        while pause():
            await FallingEdge(dut.clk)
        port.payload.value = payload
        port.valid.value = 1
        taken = False
        while not taken:
            await ReadOnly()
            taken = bool(port.ready.value)
            await FallingEdge(dut.clk)
        port.valid.value = 0


async def serve(
    dut: Any, prefix: str, take: Callable[[int], None], pause: Callable[[], bool]
) -> None:
    """Accept a stream output for ever, calling ``take``; checks that a waiting payload holds."""
    port = Port(dut, prefix)
    held: int | None = None
    while True:
        ready = not pause()
        port.ready.value = ready
        await ReadOnly()
        payload = int(port.payload.value) if port.valid.value else None
        assert held in (None, payload), f"{prefix}: payload changed or withdrawn while waiting"
        held = None if ready else payload
        if ready and payload is not None:
            take(payload)
        await FallingEdge(dut.clk)


async def read_port(dut: Any, prefix: str, fetch: Callable[[int], int]) -> None:
    """Answer an owned ``ReadPort`` for ever: data the cycle after ``en``."""
    port = Port(dut, prefix)
    while True:
        await ReadOnly()
        value = fetch(int(port.addr.value)) if port.en.value else None
        await FallingEdge(dut.clk)
        if value is not None:
            port.data.value = value


async def read_request(
    dut: Any, prefix: str, fetch: Callable[[int], int], pause: Callable[[], bool]
) -> None:
    """Answer a ``ReadRequest`` for ever: data the cycle after a transfer, noise otherwise."""
    req, data = Port(dut, f"{prefix}__req"), getattr(dut, f"{prefix}__data")
    noise = random.Random(7)
    while True:
        ready = not pause()
        req.ready.value = ready
        await ReadOnly()
        taken = ready and bool(req.valid.value)
        value = fetch(int(req.payload.value)) if taken else noise.getrandbits(len(data))
        await FallingEdge(dut.clk)
        data.value = value


async def write_port(dut: Any, prefix: str, take: Callable[[int], None]) -> None:
    """Collect a ``WritePort`` for ever."""
    port = Port(dut, prefix)
    while True:
        await ReadOnly()
        if port.en.value:
            take(int(port.payload.value))
        await FallingEdge(dut.clk)
