"""Register map as data: the slave, and what `register_page` writes, come from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import Enum, IntEnum

from hw.bus.widths import ADDR_BITS, LITE_ADDR_BITS
from hw.config import BUILD_ONLY, Config
from hw.isa.instruction import Unit

IDENTITY = 0x506F5456  # "PoTV"
VERSION = 0x0001_0001  # major, minor
COUNTERS = 0x400

#: Offset of the register of each generation parameter: drivers know them, so none ever moves.
PARAMETERS = {
    "rows": 0x080,
    "cols": 0x084,
    "lanes": 0x088,
    "axi_bytes": 0x08C,
    "head_lanes": 0x090,
    "act_words": 0x094,
    "stream_words": 0x098,
    "residual_words": 0x09C,
    "value_words": 0x0A0,
    "logit_words": 0x0A4,
    "slots": 0x0A8,
    "out_words": 0x0AC,
    "norm_words": 0x0B0,
    "max_tokens": 0x0B4,
    "max_keys": 0x0B8,
    "max_channels": 0x0BC,
    "const_rows": 0x0C0,
    "queue_depth": 0x0C4,
    "fetch_depth": 0x0C8,
    "burst_beats": 0x0CC,
    "outstanding": 0x0D0,
    "precision": 0x0D4,
    "exp_form": 0x0D8,
    "axi_prot": 0x0DC,
    "axi_cache": 0x0E0,
    "axi_id_bits": 0x0E4,
    "axi_addr_bits": 0x0E8,
}


class Error(IntEnum):
    """Codes of the ERROR register."""

    NONE = 0
    ILLEGAL_INSTRUCTION = 1
    ILLEGAL_ADDRESS = 2
    OUTSIDE_WINDOW = 3
    AXI_READ = 4
    AXI_WRITE = 5
    WATCHDOG = 6
    SEMAPHORE_OVERFLOW = 7
    ABORTED = 8
    ILLEGAL_WINDOW = 9
    ILLEGAL_PROGRAM = 10

    @property
    def text(self) -> str:
        """The name for people."""
        return self.name.lower().replace("_", " ")


#: Names of the numbers that ERROR has in ``unit``.
UNIT_NAMES = (*(unit.name for unit in Unit), "sequencer")


@dataclass(frozen=True, kw_only=True)
class Field:
    """``bits`` bits of a register from bit ``at``."""

    name: str
    at: int
    bits: int
    doc: str


@dataclass(frozen=True, kw_only=True)
class Register:
    """One 32-bit register at byte ``offset``.

    ``access`` is ``ro``, ``rw``, ``wo`` (write pulses, reads 0) or ``w1c`` (write ones to clear);
    ``value`` what a constant register reads, ``None`` for a live one.
    """

    name: str
    offset: int
    access: str
    doc: str
    fields: tuple[Field, ...] = ()
    value: int | None = None


def field_masks(found: Sequence[Register]) -> dict[str, int]:
    """The bits of every field, by ``REGISTER.field``."""
    return {f"{r.name}.{f.name}": (1 << f.bits) - 1 << f.at for r in found for f in r.fields}


def _whole(name: str, doc: str) -> tuple[Field, ...]:
    return (Field(name=name, at=0, bits=32, doc=doc),)


def _bit(name: str, at: int, doc: str) -> Field:
    return Field(name=name, at=at, bits=1, doc=doc)


def _error(*, first: bool) -> tuple[Field, ...]:
    """Fields of a register with an error; the ``first`` one of the page explains them."""
    codes = ", ".join(f"{e.value} {e.text}" for e in Error)
    units = ", ".join(f"{number} {name}" for number, name in enumerate(UNIT_NAMES))
    return (
        Field(name="code", at=0, bits=8, doc=codes if first else "as in ERROR"),
        Field(name="unit", at=8, bits=8, doc=units if first else "as in ERROR"),
        Field(name="tag", at=16, bits=8, doc="tag of the instruction"),
    )


def _control(config: Config) -> list[Register]:
    r = Register
    return [
        r(name="ID", offset=0x00, access="ro", doc="identity, 'PoTV'", value=IDENTITY),
        r(name="VERSION", offset=0x04, access="ro", value=VERSION,
          doc="major in bits 31..16, minor in bits 15..0"),
        r(name="CONFIG_DIGEST", offset=0x38, access="ro", value=config.digest,
          doc="of the parameters and the instruction set; a program names the one it needs"),
        r(name="CONTROL", offset=0x08, access="wo", doc="commands", fields=(
            _bit("start", 0, "run the program; clears STATUS, ERROR and the counters. "
                             "While busy it takes effect when the run has ended, with the "
                             "registers as they are then; ERROR moves to LAST_ERROR"),
            _bit("abort", 1, "end the run with error 8; no effect while idle. Together with "
                             "`start`: end the run that goes on, then start the next"))),
        r(name="STATUS", offset=0x0C, access="ro", doc="state of the last run", fields=(
            _bit("busy", 0, "running, or draining the bus after an error"),
            _bit("done", 1, "the program reached END"),
            _bit("error", 2, "the run ended with an error"),
            _bit("stuck", 3, "the bus did not drain after an error: reset the system"))),
        r(name="ERROR", offset=0x10, access="ro", doc="first error of the run",
          fields=_error(first=True)),
        r(name="IRQ_ENABLE", offset=0x14, access="rw", doc="interrupt sources", fields=(
            _bit("done", 0, "END reached"), _bit("error", 1, "run ended with an error"))),
        r(name="IRQ_STATUS", offset=0x18, access="w1c", doc="pending interrupts", fields=(
            _bit("done", 0, "END reached"), _bit("error", 1, "run ended with an error"))),
        r(name="LAST_ERROR", offset=0x1C, access="ro",
          doc="ERROR of the run before the last, kept when a start clears ERROR",
          fields=_error(first=False)),
        r(name="WINDOW_BASE_LO", offset=0x20, access="rw",
          doc="byte address of the window, low half; latched at the start of a run",
          fields=_whole("window_base_lo", "address bits 31..0; a multiple of the bus width, else "
                                          "error 9. What is written to these five registers "
                                          "during a run counts from the next start")),
        r(name="WINDOW_BASE_HI", offset=0x24, access="rw", doc="high half",
          fields=(Field(name="window_base_hi", at=0, bits=ADDR_BITS - 32,
                       doc=f"address bits {ADDR_BITS - 1}..32"),)),
        r(name="WINDOW_SIZE", offset=0x28, access="rw", doc="bytes of the window",
          fields=_whole("window_size", "no transfer touches a byte beyond it; error 9 if the "
                                       "window ends beyond 2^PARAM_AXI_ADDR_BITS or "
                                       f"2^{ADDR_BITS}")),
        r(name="PROGRAM_OFFSET", offset=0x2C, access="rw", doc="where the program starts",
          fields=_whole("program_offset", "bytes from the window's base, a multiple of the "
                                          "bus width, else error 10")),
        r(name="PROGRAM_COUNT", offset=0x30, access="rw", doc="length of the program",
          fields=_whole("program_count", "instructions, END included")),
        r(name="WATCHDOG", offset=0x34, access="rw", doc="longest run",
          fields=_whole("watchdog", "cycles without END before error 6; 0: no limit. "
                                    "Counts at once when it is written during a run")),
    ]  # fmt: skip


def _parameters(config: Config) -> list[Register]:
    registers: list[Register] = []
    for name, offset in PARAMETERS.items():
        value = getattr(config, name)
        if isinstance(value, Enum):
            value = list[Enum](type(value)).index(value)
        registers.append(
            Register(name=f"PARAM_{name.upper()}", offset=offset, access="ro", value=int(value),
                     doc=f"generation parameter {name}")
        )  # fmt: skip
    return registers


def _counters(names: Sequence[str]) -> list[Register]:
    registers: list[Register] = []
    for i, name in enumerate(names):
        for half, doc in enumerate(("low half; reading it latches the high half", "high half")):
            registers.append(
                Register(
                    name=f"COUNT_{name.upper()}_{('LO', 'HI')[half]}",
                    offset=COUNTERS + 8 * i + 4 * half,
                    access="ro",
                    doc=f"counter {name}, {doc}",
                )
            )
    return registers


def registers(config: Config, counters: Sequence[str]) -> list[Register]:
    """All registers in address order; ``counters`` are the names of the 64-bit counters."""
    found = [*_control(config), *_parameters(config), *_counters(counters)]
    seen = {f.name for f in fields(config)} - {"name", *BUILD_ONLY}
    assert PARAMETERS.keys() == seen, "a parameter's offset"
    assert len({r.offset for r in found}) == len(found), "two registers at one offset"
    assert found[-1].offset < 1 << LITE_ADDR_BITS
    return sorted(found, key=lambda r: r.offset)
