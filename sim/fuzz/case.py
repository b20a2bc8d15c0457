"""One fuzzed run: what the host loads and writes, and how the bus behaves meanwhile."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Case:
    """Number ``number`` of its seed; ``kind`` says what was done to the valid program.

    Attributes:
        program: the instructions as hexadecimal text, in the place of the valid program's.
        noise: seed of random parameters and pixels; -1 for the valid ones.
        window: DRAM byte address at which the image lies.
        base, size, offset, count: what the registers of window and program are told.
        allowed: bytes from ``base`` that the run may touch: its window, or none if it is illegal.
        watchdog: cycles after which the run must have ended.
        stall_rate: pauses of every channel, in 256ths of the cycles.
        abort_after: cycles after the start at which the host aborts; 0: never.
        fault: response (0, SLVERR or DECERR) of bursts that touch the byte ``fault_at``.
    """

    number: int
    kind: str
    program: str
    noise: int
    window: int
    base: int
    size: int
    offset: int
    count: int
    allowed: int
    watchdog: int
    stall_rate: int
    abort_after: int
    fault: int
    fault_at: int


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How a run ended.

    Attributes:
        number, kind: of the `Case`.
        outcome: ``done``, the name of its error, or nothing if it hung.
        hang: what was missing of an orderly end; empty if nothing was.
        rule: the rule of the bus (`sim/system/potvit_dram.sv`) that was broken first, or 0.
        restart: ``exact``, or what the valid run afterwards, without a reset, differed in; empty if
            there was none.
    """

    number: int
    kind: str
    outcome: str
    hang: str
    rule: int
    restart: str

    @property
    def outside(self) -> bool:
        """Whether an access left the window."""
        return self.rule in OUTSIDE


#: Rules of the DRAM model that an access outside the window breaks: the memory's end, the fence.
OUTSIDE = (4, 11)
