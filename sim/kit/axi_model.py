"""AXI4 memory for unit benches: random pauses, error responses and the rules of the bus."""

from __future__ import annotations

from collections import deque
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly

from hw.bus.axi import BURST_INCR, PAGE_BYTES
from hw.bus.widths import ADDR_BITS
from sim.kit.bench import Pauses, Port, serve

#: Slaves by what their AWREADY and WREADY wait for; AXI4 allows every one of them.
ORDERS = (
    "free",  # neither waits for the other
    "address",  # WREADY waits until the address is accepted
    "together",  # AWREADY waits for WVALID, WREADY until the address is accepted
    "data",  # AWREADY waits until all data of the burst are accepted
)


#: Cycles after which data that have not followed their address are taken to wait for AWREADY.
PATIENCE = 1000


class AxiMemory:
    """Bytes ``data`` from address ``base`` behind ports ``<prefix>__ar``, ``__r`` and so on.

    Responses come in order. Bursts that touch an address of ``errors`` answer with its response
    code. ``bursts`` lists (address, beats) of every burst; one outside the bytes fails the test.
    Data of a write may come before their address is accepted: `ORDERS` names the slaves there are.
    """

    def __init__(self, dut: Any, prefix: str, beat_bytes: int, base: int, data: bytes) -> None:
        self.dut, self.prefix, self.beat_bytes = dut, prefix, beat_bytes
        self.base, self.data = base, bytearray(data)
        self.errors: dict[int, int] = {}
        self.bursts: list[tuple[int, int]] = []
        self.written: set[int] = set()
        self._reads: deque[tuple[int, int]] = deque()
        self._writes: deque[tuple[int, int]] = deque()
        self._responses: deque[int] = deque()
        self._beats: deque[int] = deque()
        self._w_beat = 0
        self._lasts = 0

    @property
    def outstanding(self) -> int:
        """Bursts accepted and not answered in full."""
        return len(self._reads) + len(self._writes) + len(self._responses) + len(self._beats)

    def start_reads(self, stalls: float, seed: int) -> None:
        """Serve the read channels from now on."""
        cocotb.start_soon(serve(self.dut, f"{self.prefix}__ar", self._ar, Pauses(stalls, seed)))
        cocotb.start_soon(self._r(Pauses(stalls, seed + 1)))

    def start_writes(self, stalls: float, seed: int, order: str = "free") -> None:
        """Serve the write channels from now on; ``order`` is one of `ORDERS`."""
        offered = Port(self.dut, f"{self.prefix}__w").valid
        address = Port(self.dut, f"{self.prefix}__aw").valid
        aw_pause, w_pause = Pauses(stalls, seed), Pauses(stalls, seed + 1)
        alone = 0

        def no_address() -> bool:
            nonlocal alone
            alone = alone + 1 if address.value and not offered.value else 0
            assert alone < PATIENCE, "an address waits, and WVALID waits for AWREADY"
            early = {"together": not offered.value, "data": not self._lasts}
            return aw_pause() or early.get(order, False)

        def no_data() -> bool:
            return w_pause() or (order in ("address", "together") and not self._writes)

        cocotb.start_soon(serve(self.dut, f"{self.prefix}__aw", self._aw, no_address))
        cocotb.start_soon(serve(self.dut, f"{self.prefix}__w", self._w, no_data))
        cocotb.start_soon(self._b(Pauses(stalls, seed + 2)))

    async def until_quiet(self, quiet: Any, limit: int = 100_000) -> None:
        """Wait for ``quiet``; from then on nothing may be outstanding or start."""
        for _ in range(limit):
            await ReadOnly()
            calm = bool(quiet.value)
            await FallingEdge(self.dut.clk)
            if calm:
                break
        else:
            raise AssertionError("never quiet")
        issued = len(self.bursts)
        for _ in range(50):
            await FallingEdge(self.dut.clk)
        assert self.outstanding == 0, "quiet with bursts outstanding"
        assert len(self.bursts) == issued, "addresses after quiet"

    def covers(self, at: int) -> bool:
        """Tell whether a burst covered the byte at address ``at``."""
        return any(addr <= at < addr + n * self.beat_bytes for addr, n in self.bursts)

    def _burst(self, payload: int) -> tuple[int, int]:
        addr = payload & ((1 << ADDR_BITS) - 1)
        rest = payload >> ADDR_BITS
        ident, beats = rest & 1, (rest >> 1 & 255) + 1
        size, burst = rest >> 9 & 7, rest >> 12 & 3
        assert ident == 0
        assert burst == BURST_INCR, "not an INCR burst"
        assert 1 << size == self.beat_bytes, "not the full bus width"
        assert addr % self.beat_bytes == 0, f"unaligned address {addr:#x}"
        end = addr + beats * self.beat_bytes
        assert addr // PAGE_BYTES == (end - 1) // PAGE_BYTES, f"{addr:#x}: burst crosses 4 KB"
        assert self.base <= addr, f"{addr:#x} is outside"
        assert end <= self.base + len(self.data), f"{addr:#x} is outside"
        self.bursts.append((addr, beats))
        return addr, beats

    def _response(self, addr: int, beats: int) -> int:
        end = addr + beats * self.beat_bytes
        return max((r for at, r in self.errors.items() if addr <= at < end), default=0)

    def _ar(self, payload: int) -> None:
        self._reads.append(self._burst(payload))

    async def _r(self, pause: Pauses) -> None:
        port = Port(self.dut, f"{self.prefix}__r")
        port.valid.value = 0
        while True:
            if not self._reads or pause():
                await FallingEdge(self.dut.clk)
                continue
            addr, beats = self._reads[0]
            response = self._response(addr, beats)
            for beat in range(beats):
                while pause():
                    await FallingEdge(self.dut.clk)
                at = addr - self.base + beat * self.beat_bytes
                word = int.from_bytes(self.data[at : at + self.beat_bytes], "little")
                flags = response << 1 | (beat == beats - 1) << 3
                port.payload.value = word | flags << (8 * self.beat_bytes)
                port.valid.value = 1
                taken = False
                while not taken:
                    await ReadOnly()
                    taken = bool(port.ready.value)
                    if taken and beat == beats - 1:
                        self._reads.popleft()
                    await FallingEdge(self.dut.clk)
                port.valid.value = 0

    def _aw(self, payload: int) -> None:
        self._writes.append(self._burst(payload))
        self._lasts -= 1
        self._merge()

    def _w(self, payload: int) -> None:
        self._beats.append(payload)
        self._lasts += payload >> 9 * self.beat_bytes
        self._merge()

    def _merge(self) -> None:
        """Write the beats whose address is known."""
        while self._writes and self._beats:
            self._write(self._beats.popleft())

    def _write(self, payload: int) -> None:
        addr, beats = self._writes[0]
        bits = 8 * self.beat_bytes
        strobes, last = payload >> bits & ((1 << self.beat_bytes) - 1), payload >> bits
        assert strobes in (0, (1 << self.beat_bytes) - 1), "part of a beat written"
        beat = self._w_beat
        assert (last >> self.beat_bytes) == (beat == beats - 1), "WLAST at the wrong beat"
        if strobes:
            at = addr - self.base + beat * self.beat_bytes
            word = payload & ((1 << bits) - 1)
            self.data[at : at + self.beat_bytes] = word.to_bytes(self.beat_bytes, "little")
            self.written.update(range(at, at + self.beat_bytes))
        self._w_beat = beat + 1
        if self._w_beat == beats:
            self._w_beat = 0
            self._writes.popleft()
            self._responses.append(self._response(addr, beats))

    async def _b(self, pause: Pauses) -> None:
        port = Port(self.dut, f"{self.prefix}__b")
        port.valid.value = 0
        while True:
            if not self._responses or pause():
                await FallingEdge(self.dut.clk)
                continue
            port.payload.value = self._responses[0] << 1
            port.valid.value = 1
            taken = False
            while not taken:
                await ReadOnly()
                taken = bool(port.ready.value)
                if taken:
                    self._responses.popleft()
                await FallingEdge(self.dut.clk)
            port.valid.value = 0
