"""A port over mapped memory: ``/dev/mem``, UIO, a DMA buffer, or any file that stands for them."""

from __future__ import annotations

import mmap
import os
import select
import stat
import sys
from pathlib import Path

import numpy as np

from golden.support.errors import PotvitError
from hw.bus.widths import LITE_ADDR_BITS

#: Seconds between two looks at STATUS where nothing interrupts.
TICK = 0.001
#: Seconds to wait for an interrupt before a look at STATUS without one.
PATIENCE = 1.0
#: Major number of the devices that are memory: writing to one of them enables no interrupt.
_MEMORY_DEVICES = 1


class MappedPort:
    """Registers in one mapped file, DRAM in another; a context manager.

    ``registers`` and ``dram`` are paths, each with the byte offset to map from; the mapping of
    ``dram`` (``dram_bytes`` of it) is the accelerator's DRAM from ``address`` on. ``interrupt`` is
    the UIO device of the accelerator's interrupt, as a rule ``registers`` again: writing 1 to it
    enables the interrupt, and reads wait for it. Without one STATUS is polled.

    The mapping must be uncached or coherent: nothing is flushed here.

    Raises:
        PotvitError: a file cannot be mapped in that size, or ``interrupt`` is no UIO device.
    """

    def __init__(
        self,
        registers: Path,
        dram: Path,
        *,
        address: int,
        dram_bytes: int,
        registers_at: int = 0,
        dram_at: int = 0,
        interrupt: Path | None = None,
    ) -> None:
        self._files: list[int] = []
        self._maps: list[mmap.mmap] = []
        self._interrupt = interrupt
        self.address, self.dram_bytes = address, dram_bytes
        try:
            self._words = np.frombuffer(
                self._map(registers, registers_at, 1 << LITE_ADDR_BITS), np.uint32
            )
            self._dram = self._map(dram, dram_at, dram_bytes)
        except (OSError, ValueError) as error:
            self.close()
            raise PotvitError(f"{registers}, {dram}: no mapping of that size ({error})") from None
        if interrupt is not None:
            self._events = self._device(interrupt)

    def _device(self, path: Path) -> int:
        """Open the device that interrupts; a file would take the enabling 1 for its content."""
        try:
            handle = os.open(path, os.O_RDWR | os.O_NOCTTY)
        except OSError as error:
            self.close()
            raise PotvitError(f"{path}: no interrupts from there ({error.strerror})") from None
        self._files.append(handle)
        found = os.fstat(handle)
        if not stat.S_ISCHR(found.st_mode) or os.major(found.st_rdev) == _MEMORY_DEVICES:
            self.close()
            raise PotvitError(f"{path} is no UIO device: leave `interrupt` out to poll")
        return handle

    def _map(self, path: Path, at: int, size: int) -> mmap.mmap:
        handle = os.open(path, os.O_RDWR | os.O_SYNC)
        self._files.append(handle)
        self._maps.append(mmap.mmap(handle, size, offset=at))
        return self._maps[-1]

    def __enter__(self) -> MappedPort:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Unmap."""
        self._words = np.zeros(0, np.uint32)  # the last view of the mapping
        for mapping in self._maps:
            mapping.close()
        for handle in self._files:
            os.close(handle)
        self._maps, self._files = [], []

    def read(self, offset: int) -> int:
        """One 32-bit access."""
        return int(self._words[offset // 4])

    def write(self, offset: int, value: int) -> None:
        """One 32-bit access."""
        self._words[offset // 4] = value

    def put(self, address: int, data: bytes) -> None:
        """Copy to DRAM; ``PotvitError`` outside the mapping."""
        at = self._place(address, len(data))
        self._dram[at : at + len(data)] = data

    def get(self, address: int, size: int) -> bytes:
        """Copy from DRAM; ``PotvitError`` outside the mapping."""
        at = self._place(address, size)
        return self._dram[at : at + size]

    def pause(self) -> None:
        """Sleep until the interrupt, or a tick where there is none.

        Raises:
            PotvitError: the device has no interrupt.
        """
        if self._interrupt is None:
            select.select([], [], [], TICK)
            return
        try:
            os.write(self._events, (1).to_bytes(4, sys.byteorder))  # let it come again
            if select.select([self._events], [], [], PATIENCE)[0]:
                os.read(self._events, 4)
        except OSError as error:
            raise PotvitError(
                f"{self._interrupt} has no interrupt ({error.strerror}): leave `interrupt` out to "
                "poll"
            ) from None

    def _place(self, address: int, size: int) -> int:
        at = address - self.address
        if at < 0 or at + size > self.dram_bytes:
            raise PotvitError(
                f"{size} bytes at {address:#x} lie outside the mapped DRAM "
                f"({self.dram_bytes} bytes from {self.address:#x})"
            )
        return at
