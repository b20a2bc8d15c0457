"""A simulated system as a port for drivers, and as a socket for drivers in other languages."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import tempfile
import threading
import time
from enum import IntEnum
from pathlib import Path

from golden.support.errors import PotvitError
from hw.config import Config
from sim.simulator.generated import generated
from sim.simulator.runner import run
from sim.simulator.verilate import Simulator
from sim.system.harness import DRAM_BYTES, system

MODULE = "sim.benches.serve"
SOCKET, PLAN = "port", "plan.json"
#: Operation, number (value or size), address (offset or address); what answers are, but for GET's.
REQUEST, ANSWER = struct.Struct("<B3xIQ"), struct.Struct("<I")
#: Most seconds of a session.
SESSION = 7 * 86400.0


class Operation(IntEnum):
    """What a request asks for."""

    READ = ord("R")
    WRITE = ord("W")
    PUT = ord("P")
    GET = ord("G")
    PAUSE = ord("I")
    QUIT = ord("Q")


def receive(client: socket.socket, size: int) -> bytes | None:
    """Exactly ``size`` bytes; None if the other side left before."""
    data = bytearray()
    while len(data) < size:
        part = client.recv(size - len(data))
        if not part:
            return None
        data += part
    return bytes(data)


class SimulatedPort:
    """A connection to a served system: the port of `hw.driver.driver.Driver`."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))

    def close(self) -> None:
        """Leave; the simulation goes on."""
        self._socket.close()

    def read(self, offset: int) -> int:
        """An AXI4-Lite read."""
        return self._asked(Operation.READ, address=offset)

    def write(self, offset: int, value: int) -> None:
        """An AXI4-Lite write."""
        self._asked(Operation.WRITE, value, offset)

    def put(self, address: int, data: bytes) -> None:
        """Fill the simulated DRAM."""
        self._asked(Operation.PUT, len(data), address, data)

    def get(self, address: int, size: int) -> bytes:
        """Look into the simulated DRAM."""
        self._socket.sendall(REQUEST.pack(Operation.GET, size, address))
        return self._answer(size)

    def pause(self) -> None:
        """Let simulated time pass, up to the interrupt."""
        self._asked(Operation.PAUSE)

    def quit(self) -> None:
        """End the simulation."""
        self._socket.sendall(REQUEST.pack(Operation.QUIT, 0, 0))
        self.close()

    def _asked(
        self, operation: Operation, number: int = 0, address: int = 0, data: bytes = b""
    ) -> int:
        self._socket.sendall(REQUEST.pack(operation, number, address) + data)
        return int(ANSWER.unpack(self._answer(ANSWER.size))[0])

    def _answer(self, size: int) -> bytes:
        data = receive(self._socket, size)
        if data is None:
            raise PotvitError("the simulation ended: an access that the slave refuses, or a fault")
        return data


class Served:
    """A running simulation of ``config`` with its DRAM; a context manager.

    ``path`` is the socket, for C programs; `port` connects to it from Python, one client at a time.
    ``description`` is what ``potvit.json`` holds; ``simulator`` another system of the same ports
    than that of `sim.system.harness`. At the end the rules of AXI must have held.

    Raises:
        PotvitError: the simulator cannot be built.
        AssertionError: with the simulator's log, if it broke down or a rule of the bus was broken.
    """

    def __init__(
        self,
        config: Config,
        *,
        memory_bytes: int = DRAM_BYTES,
        simulator: Simulator | None = None,
    ) -> None:
        self.config, self._memory_bytes, self._simulator = config, memory_bytes, simulator
        self.description = generated(config).description
        self._broken: BaseException | None = None

    def __enter__(self) -> Served:
        simulator = self._simulator or system(self.config, memory_bytes=self._memory_bytes)
        self._folder = tempfile.TemporaryDirectory(prefix="potvit-")
        folder = Path(self._folder.name)
        self.path = folder / SOCKET
        registers = {r["name"]: r["offset"] for r in self.description["registers"]}
        plan = {"registers": registers, "bus": self.config.axi_bytes}
        (folder / PLAN).write_text(json.dumps(plan), encoding="utf-8")

        def simulate() -> None:
            try:
                run(
                    simulator, MODULE, folder=folder, env={"POTVIT_JOB": str(folder)},
                    timeout=SESSION,
                )  # fmt: skip
            except BaseException as error:
                self._broken = error

        self._thread = threading.Thread(target=simulate, daemon=True)
        self._thread.start()
        while not self.path.exists() and self._thread.is_alive():
            time.sleep(0.05)
        if not self.path.exists():
            self._end()
            raise AssertionError("the simulation offers no socket")
        return self

    def port(self) -> SimulatedPort:
        """A new connection; whoever has the one before must have closed it."""
        return SimulatedPort(self.path)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._thread.is_alive():
            with contextlib.suppress(OSError):  # it may have ended meanwhile
                self.port().quit()
        self._end(quiet=kind is not None)

    def _end(self, *, quiet: bool = False) -> None:
        self._thread.join()
        self._folder.cleanup()
        if self._broken is not None and not quiet:
            raise self._broken
