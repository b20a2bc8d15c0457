"""The port over mapped memory: files stand for registers and DRAM, a terminal for the interrupt.

A pseudo-terminal is a character device with two ends, as a UIO device is: what the driver writes
to enable the interrupt comes out at the other end, and the count that the kernel answers goes in.
"""

import mmap
import os
import pty
import sys
import threading
import time
import tty
from pathlib import Path

import numpy as np
import pytest

from golden.support.errors import PotvitError
from hw.driver import mapped
from hw.driver.driver import BUSY, DONE, ERROR, INTERRUPTS, OFFSETS, Driver
from hw.driver.mapped import MappedPort
from hw.host.register_map import IDENTITY, VERSION

AT = 0x1000_0000


@pytest.fixture
def files(tmp_path):
    """Registers of an accelerator that is running, and DRAM of two pages."""
    words = np.zeros(1024, "<u4")
    for name, value in (("ID", IDENTITY), ("VERSION", VERSION), ("STATUS", BUSY)):
        words[OFFSETS[name] // 4] = value
    (tmp_path / "registers").write_bytes(words.tobytes())
    (tmp_path / "dram").write_bytes(bytes(8192))
    return tmp_path / "registers", tmp_path / "dram"


def opened(files, **more):
    return MappedPort(*files, address=AT, dram_bytes=4096, dram_at=4096, **more)


class Kernel(threading.Thread):
    """The other end of a UIO device: at the n-th enabling the accelerator's status is the n-th."""

    def __init__(self, registers, statuses):
        super().__init__(daemon=True)
        self._kernel, self.device = pty.openpty()
        tty.setraw(self.device)
        self.path = Path(os.ttyname(self.device))
        self._registers, self._statuses = registers, statuses
        self.enabled = []

    def run(self):
        with self._registers.open("r+b") as file, mmap.mmap(file.fileno(), 4096) as words:
            for count, status in enumerate(self._statuses, 1):
                self.enabled.append(os.read(self._kernel, 4))
                time.sleep(0.05)  # the driver sleeps meanwhile
                at = OFFSETS["STATUS"]
                words[at : at + 4] = int(status).to_bytes(4, "little")
                os.write(self._kernel, count.to_bytes(4, sys.byteorder))


@pytest.fixture
def kernel(files, monkeypatch):
    """``kernel(status, ...)``: a device that interrupts; without its interrupts nothing goes on."""
    monkeypatch.setattr(mapped, "PATIENCE", 10.0)
    made = []

    def start(*statuses):
        made.append(Kernel(files[0], statuses))
        made[-1].start()
        return made[-1]

    yield start
    for thread in made:
        os.close(thread.device)
        os.close(thread._kernel)


@pytest.mark.parametrize("statuses", [(DONE,), (BUSY, BUSY, DONE)], ids=["first", "third"])
def test_a_wait_ends_with_the_interrupt(files, kernel, statuses):
    """A shared line may interrupt while the run goes on: it is enabled and awaited again."""
    device = kernel(*statuses)
    with opened(files, interrupt=device.path) as port:
        began = time.monotonic()
        Driver(port).wait(5)
        assert time.monotonic() - began < 5
        device.join(10)
        assert device.enabled == [(1).to_bytes(4, sys.byteorder)] * len(statuses)
        assert port.read(OFFSETS["IRQ_STATUS"]) == INTERRUPTS  # the slave clears what is written
        assert not mapped.select.select([device.device], [], [], 0)[0], "an interrupt was left over"


def test_an_interrupt_of_a_run_that_failed(files, kernel):
    device = kernel(ERROR)
    with (
        opened(files, interrupt=device.path) as port,
        pytest.raises(PotvitError, match="the run ended with"),
    ):
        Driver(port).wait()
    device.join(10)


def test_without_an_interrupt_a_wait_looks_again(files, kernel, monkeypatch):
    """One that is lost costs `PATIENCE`, and the run is found to be over."""
    device = kernel()
    monkeypatch.setattr(mapped, "PATIENCE", 0.01)
    with (
        opened(files, interrupt=device.path) as port,
        pytest.raises(PotvitError, match=r"still going on after 0\.1 s"),
    ):
        Driver(port).wait(0.1)


def test_a_device_without_interrupts_is_one_line(files, kernel):
    device = kernel()
    with opened(files, interrupt=device.path) as port:
        port._events = os.open(device.path, os.O_RDONLY | os.O_NOCTTY)
        try:  # a driver that takes no 1
            with pytest.raises(PotvitError, match=r"has no interrupt \(.*\): leave `inter"):
                Driver(port).wait()
        finally:
            os.close(port._events)


def test_what_is_no_uio_device_is_refused_before_anything_is_written(files):
    before = files[0].read_bytes()
    for path in (files[0], Path("/dev/null")):
        with pytest.raises(PotvitError, match="is no UIO device: leave `interrupt` out to poll"):
            opened(files, interrupt=path)
    with pytest.raises(PotvitError, match=r"/none: no interrupts from there \(No such file"):
        opened(files, interrupt=files[0].parent / "none")
    assert files[0].read_bytes() == before


def test_what_is_written_lands_in_the_files(files):
    with opened(files) as port:
        port.write(0x20, 0xDEADBEEF)
        port.put(AT + 16, b"PoTViT")
        assert port.read(0x20) == 0xDEADBEEF
        assert port.get(AT + 16, 6) == b"PoTViT"
        port.pause()
        assert Driver(port).digest == 0
        for at, size in ((AT - 1, 1), (AT + 4095, 2)):
            with pytest.raises(PotvitError, match="outside the mapped DRAM"):
                port.get(at, size)
    assert np.fromfile(files[0], "<u4")[8] == 0xDEADBEEF
    assert files[1].read_bytes()[4096 + 16 : 4096 + 22] == b"PoTViT"


def test_nothing_that_answers(files):
    files[0].write_bytes(bytes(4096))
    with opened(files) as port, pytest.raises(PotvitError, match="no accelerator answers there"):
        Driver(port)
    with pytest.raises(PotvitError, match="no mapping of that size"):
        MappedPort(files[0].parent / "none", files[1], address=0, dram_bytes=4096)
