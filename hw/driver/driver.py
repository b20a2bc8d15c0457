"""The driver in Python: the verbs of the C driver, over any port."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from golden.support.errors import PotvitError
from hw.bus.widths import ADDR_BITS
from hw.config import PRESETS
from hw.driver.port import Port
from hw.host.register_map import (
    IDENTITY,
    UNIT_NAMES,
    VERSION,
    Error,
    field_masks,
    registers,
)
from hw.lib.numbers import Array
from hw.program.program import Program
from hw.program.regions import Region

#: Offsets of the registers, the same for every configuration.
_MAP = registers(PRESETS["tiny"], ())
OFFSETS = {register.name: register.offset for register in _MAP}
_MASKS = field_masks(_MAP)
BUSY, DONE, ERROR, STUCK = (_MASKS[f"STATUS.{n}"] for n in ("busy", "done", "error", "stuck"))
INTERRUPTS = _MASKS["IRQ_STATUS.done"] | _MASKS["IRQ_STATUS.error"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Resident:
    """A program in DRAM, its window at byte address ``window``."""

    program: Program
    window: int


@dataclass(frozen=True, kw_only=True)
class Failure:
    """First error of a run: what, in which unit, at which instruction's tag (layer + 1)."""

    code: int
    unit: int
    tag: int

    def __str__(self) -> str:
        what = Error(self.code).text if self.code in tuple(Error) else "unknown error"
        where = UNIT_NAMES[self.unit] if self.unit < len(UNIT_NAMES) else f"unit {self.unit}"
        return f"{what} (error {self.code}) in {where}, tag {self.tag}"


class Driver:
    """Open the accelerator behind ``port``; it may be running.

    ``description`` is what ``potvit.json`` holds; counters have names only with it. Programs stay
    where they were loaded: several are resident at once, and each start names one.

    Raises:
        PotvitError: no accelerator answers there, or one of another release.
    """

    def __init__(self, port: Port, description: Mapping[str, Any] | None = None) -> None:
        self.port = port
        self._counters: Mapping[str, int] = (description or {}).get("counters", {})
        if (found := self._read("ID")) != IDENTITY:
            raise PotvitError(
                f"no accelerator answers there (ID reads {found:#010x}): wrong base address, or "
                "held in reset"
            )
        if (release := self._read("VERSION")) >> 16 != VERSION >> 16:
            raise PotvitError(f"the accelerator is of release {release >> 16}, not {VERSION >> 16}")
        self.digest = self._read("CONFIG_DIGEST")
        self.bus_bytes = self._read("PARAM_AXI_BYTES")
        self.addr_bits = min(self._read("PARAM_AXI_ADDR_BITS"), ADDR_BITS)

    def load(self, program: Program, window: int, room: int | None = None) -> Resident:
        """Copy the image of ``program`` to DRAM address ``window``, with ``room`` bytes for it.

        Raises:
            PotvitError: compiled for another accelerator, no room, an unaligned window or one
                beyond the bus; nothing was written.
        """
        program.check(self.digest)
        if room is not None and program.window > room:
            raise PotvitError(f"the program needs {program.window} bytes, the window has {room}")
        if window % self.bus_bytes:
            raise PotvitError(
                f"the window's address {window:#x} is no multiple of the bus width, "
                f"{self.bus_bytes} bytes"
            )
        if window < 0:
            raise PotvitError(f"the window's address {window} is below zero")
        if window + program.window > 1 << self.addr_bits:
            raise PotvitError(f"the window ends beyond the {self.addr_bits}-bit addresses")
        self.port.put(window, program.image)
        return Resident(program=program, window=window)

    def start(self, resident: Resident, picture: Array) -> None:
        """Put ``picture`` (uint8, rows, columns, channels) into the window and start the run.

        Raises:
            PotvitError: another shape or type, a run that goes on, a bus that does not answer.
        """
        program, status = resident.program, self._read("STATUS")
        if status & BUSY:
            raise PotvitError("a run is going on: wait for its end or cancel it")
        self._require_bus(status)
        program.check_picture(picture)
        place = program.regions[Region.PICTURE]
        self.port.put(resident.window + place.offset, np.ascontiguousarray(picture).tobytes())
        for name, value in (
            ("WINDOW_BASE_LO", resident.window & 0xFFFF_FFFF),
            ("WINDOW_BASE_HI", resident.window >> 32),
            ("WINDOW_SIZE", program.window),
            ("PROGRAM_OFFSET", program.entry),
            ("PROGRAM_COUNT", program.count),
            ("WATCHDOG", program.watchdog),
            ("IRQ_STATUS", INTERRUPTS),
            ("IRQ_ENABLE", INTERRUPTS),
            ("CONTROL", _MASKS["CONTROL.start"]),
        ):
            self.port.write(OFFSETS[name], value)

    def wait(self, seconds: float | None = None) -> None:
        """Wait for the end of the run, at most ``seconds``, and clear the interrupt.

        Raises:
            PotvitError: the run ended with an error, which it names, or goes on; there was none.
        """
        end = None if seconds is None else time.monotonic() + seconds
        while (status := self._read("STATUS")) & BUSY:
            self._require_bus(status)
            if end is not None and time.monotonic() > end:
                raise PotvitError(f"the run was still going on after {seconds} s")
            self.port.pause()
        self._require_bus(status)
        self.port.write(OFFSETS["IRQ_STATUS"], INTERRUPTS)
        if status & ERROR:
            raise PotvitError(f"the run ended with {self.error()}")
        if not status & DONE:
            raise PotvitError("no run has ended well since the last start")

    def result(self, resident: Resident) -> Array:
        """The output that the last run of ``resident`` left in its window.

        Raises:
            PotvitError: no run has ended well since the last start.
        """
        if not self._read("STATUS") & DONE:
            raise PotvitError("no run has ended well since the last start")
        layout = resident.program.logits
        raw = self.port.get(resident.window + layout.offset, layout.nbytes)
        return layout.moved(0).unpack(raw)

    def run(self, resident: Resident, picture: Array) -> Array:
        """`start`, `wait` and `result`."""
        self.start(resident, picture)
        self.wait()
        return self.result(resident)

    def cancel(self, seconds: float = 10) -> None:
        """End the run that goes on, if any, within ``seconds``; a new start needs no reset.

        Raises:
            PotvitError: the run goes on all the same, or the bus does not answer.
        """
        self.port.write(OFFSETS["CONTROL"], _MASKS["CONTROL.abort"])
        try:
            self.wait(seconds)
        except PotvitError:
            status = self._read("STATUS")
            self._require_bus(status)
            if status & BUSY:
                raise

    def error(self) -> Failure:
        """First error of the last run."""
        error = self._read("ERROR")
        masks = {name: _MASKS[f"ERROR.{name}"] for name in ("code", "unit", "tag")}
        return Failure(**{n: (error & mask) // (mask & -mask) for n, mask in masks.items()})

    def counter(self, name: str) -> int:
        """A 64-bit counter of the last run, by its name in ``potvit.json``.

        Raises:
            PotvitError: no such counter, or the driver was opened without a description.
        """
        if name not in self._counters:
            known = ", ".join(self._counters) or "none: open the driver with potvit.json"
            raise PotvitError(f"no counter {name!r}; there are {known}")
        at = self._counters[name]
        low = self.port.read(at)  # latches the high half
        return low | self.port.read(at + 4) << 32

    def _read(self, name: str) -> int:
        return self.port.read(OFFSETS[name])

    @staticmethod
    def _require_bus(status: int) -> None:
        if status & STUCK:
            raise PotvitError("the bus does not answer: reset the system")
