"""The driver's verbs on a port that answers what a test says."""

import pytest

from golden.support.errors import PotvitError
from hw.config import PRESETS
from hw.driver.driver import BUSY, DONE, ERROR, OFFSETS, STUCK, Driver, Failure
from hw.host.register_map import IDENTITY, VERSION, registers


class Scripted:
    """Registers of ``tiny``; STATUS reads ``status`` for ever."""

    def __init__(self, status):
        self.values = {r.offset: r.value or 0 for r in registers(PRESETS["tiny"], ())}
        self.values |= {OFFSETS["ID"]: IDENTITY, OFFSETS["VERSION"]: VERSION}
        self.values[OFFSETS["STATUS"]] = status
        self.put_at = []

    def read(self, offset):
        return self.values[offset]

    def write(self, offset, value):
        pass

    def put(self, address, data):
        self.put_at.append(address)

    def pause(self):
        pass


def test_a_run_that_an_abort_does_not_end_is_told():
    with pytest.raises(PotvitError, match="still going on after"):
        Driver(Scripted(BUSY)).cancel(0.01)
    with pytest.raises(PotvitError, match="the bus does not answer"):
        Driver(Scripted(STUCK | ERROR)).cancel(0.01)


@pytest.mark.parametrize("status", [0, DONE, ERROR])
def test_a_run_that_has_ended_somehow_is_cancelled(status):
    Driver(Scripted(status)).cancel(0.01)


def test_waiting_needs_a_run():
    Driver(Scripted(DONE)).wait()
    with pytest.raises(PotvitError, match="no run has ended well since the last start"):
        Driver(Scripted(0)).wait()


def test_a_window_below_zero_is_refused_before_anything_is_written():
    class Program:
        window = 64

        def check(self, digest):
            pass

    port = Scripted(0)
    with pytest.raises(PotvitError, match="-64 is below zero"):
        Driver(port).load(Program(), -64)
    assert not port.put_at


def test_errors_that_nobody_knows_have_words():
    assert str(Failure(code=200, unit=77, tag=3)) == "unknown error (error 200) in unit 77, tag 3"
