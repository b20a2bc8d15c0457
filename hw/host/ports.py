"""What registers, run control, window, counters and core say to one another."""

from __future__ import annotations

from amaranth.hdl import ShapeLike
from amaranth.lib import data
from amaranth.lib.wiring import In, Out, Signature

from hw.bus.burst import LIMIT_BITS
from hw.bus.widths import ADDR_BITS
from hw.host.register_map import Error
from hw.isa.instruction import Unit

#: Unit number in an error report of what is no unit's fault.
SEQUENCER = len(Unit)

#: Bits of a counter.
TOTAL_BITS = 64

#: The ERROR register: code (`Error`), unit or `SEQUENCER`, tag of its instruction.
ERROR_REPORT = data.StructLayout({"code": 8, "unit": 8, "tag": 8})


class RunPort(Signature):
    """Run control and core, seen from run control.

    ``take`` : pulse; a run is about to begin. ``begin`` : pulse; fetch from here on. ``stop`` :
    come to rest; ``quiet`` : at rest. ``finished`` : the program is complete. ``faults[e]`` : for
    each `Error` e a bit per unit, and one for the sequencer. ``tag[u]`` : of the oldest
    instruction of each unit, and the sequencer's.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                **dict.fromkeys(("take", "begin", "stop"), Out(1)),
                **dict.fromkeys(("quiet", "finished"), In(1)),
                "faults": In(SEQUENCER + 1).array(len(Error)),
                "tag": In(8).array(SEQUENCER + 1),
            }
        )


class CommandPort(Signature):
    """Registers and run control, seen from the registers.

    ``start``, ``abort`` : pulses. ``watchdog`` : limit in cycles, 0 for none; may change during a
    run.
    """

    def __init__(self) -> None:
        super().__init__({"start": Out(1), "abort": Out(1), "watchdog": Out(32)})


class StatusPort(Signature):
    """Run control and registers, seen from run control.

    ``busy``, ``done``, ``error``, ``stuck`` : bits of STATUS. ``report`` : first error of the
    run; ``last_report`` : that of the run before it. ``done_event``, ``error_event`` : a run
    ended (pulses).
    """

    def __init__(self) -> None:
        flags = ("busy", "done", "error", "stuck", "done_event", "error_event")
        reports = dict.fromkeys(("report", "last_report"), Out(ERROR_REPORT))
        super().__init__({**dict.fromkeys(flags, Out(1)), **reports})


class VerdictPort(Signature):
    """Window and run control, seen from the window: verdicts in the cycle after ``take``."""

    def __init__(self) -> None:
        super().__init__({"take": In(1), "illegal_window": Out(1), "illegal_program": Out(1)})


class PlacePort(Signature):
    """Registers and window, seen from the registers: the window's place, as written."""

    def __init__(self) -> None:
        super().__init__(
            {
                "window_base": Out(ADDR_BITS),
                "window_size": Out(LIMIT_BITS),
                "program_offset": Out(32),
            }
        )


class ProgramPort(Signature):
    """Registers and core, seen from the registers: the program's place, in bytes, and length."""

    def __init__(self) -> None:
        super().__init__({"program_offset": Out(32), "program_count": Out(32)})


class CountPort(Signature):
    """Registers and counters, seen from the registers.

    ``count_index``, ``count_read`` : ask for a total (``count_read`` for one cycle);
    ``count_valid`` pulses with it in ``count_total``.
    """

    def __init__(self, index: ShapeLike) -> None:
        super().__init__(
            {
                "count_index": Out(index),
                "count_read": Out(1),
                "count_valid": In(1),
                "count_total": In(TOTAL_BITS),
            }
        )
