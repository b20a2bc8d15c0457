"""AXI4-Lite slave with the registers of `hw.host.register_map`."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.bus.axi import RESP_OKAY, RESP_SLVERR, AxiLite
from hw.config import Config
from hw.host.ports import CommandPort, CountPort, PlacePort, ProgramPort, StatusPort
from hw.host.register_map import COUNTERS, Register, registers


class Registers(wiring.Component):
    """The slave: one access at a time per direction, SLVERR where there is no register.

    Address and data of a write are taken independently of one another, into registers of their
    own, and no output depends on an input of the same cycle. A write acts in the cycle after the
    later of the two and is answered in the next; a read is answered in the cycle after its
    address.
    Writable registers are held here and survive the soft reset after a run; read-only ones come
    in by field. A counter's low half takes up to six cycles more and latches the high half.

    Members
    -------
    bus : AXI4-Lite slave. ``irq`` is level high while an enabled interrupt is pending.
    `CommandPort` : pulses of CONTROL, and WATCHDOG as written.
    `PlacePort`, `ProgramPort` : window and program, as written.
    `StatusPort` : read back in STATUS, ERROR and LAST_ERROR; its events set IRQ_STATUS.
    `CountPort` : to `Counters`.
    """

    def __init__(self, config: Config, counters: Sequence[str]) -> None:
        self.config = config
        self.counters = tuple(counters)
        self.map = registers(config, self.counters)
        super().__init__(
            {
                "bus": In(AxiLite()),
                "irq": Out(1),
                **CommandPort().members,
                **PlacePort().members,
                **ProgramPort().members,
                **StatusPort().flip().members,
                **CountPort(range(len(self.counters))).members,
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        held = {
            r.name: Signal(_used_bits(r), name=r.name.lower()) for r in self.map if r.access == "rw"
        }
        pending = Signal(2)
        self._write(m, held, pending)
        self._read(m, held, pending)
        m.d.comb += [
            self.window_base.eq(Cat(held["WINDOW_BASE_LO"], held["WINDOW_BASE_HI"])),
            self.window_size.eq(held["WINDOW_SIZE"]),
            self.program_offset.eq(held["PROGRAM_OFFSET"]),
            self.program_count.eq(held["PROGRAM_COUNT"]),
            self.watchdog.eq(held["WATCHDOG"]),
            self.irq.eq((pending & held["IRQ_ENABLE"][:2]).any()),
        ]
        return m

    def _write(self, m: Module, held: dict[str, Signal], pending: Signal) -> None:
        aw, w, b = self.bus.aw, self.bus.w, self.bus.b
        taken, cleared = Signal(), Signal(2)
        # Address and data wait here for one another.
        addressed, supplied = Signal(), Signal()
        word = Signal(len(aw.p.addr) - 2)
        value, strobes = Signal(32), Signal(4)
        mask = Cat(strobes[i].replicate(8) for i in range(4))
        command = value & mask
        m.d.comb += [
            taken.eq(addressed & supplied & ~b.valid),
            aw.ready.eq(~addressed),
            w.ready.eq(~supplied),
        ]
        with m.If(aw.valid & aw.ready):
            m.d.sync += [addressed.eq(1), word.eq(aw.p.addr[2:])]
        with m.If(w.valid & w.ready):
            m.d.sync += [supplied.eq(1), value.eq(w.p.data), strobes.eq(w.p.strb)]
        m.d.sync += pending.eq((pending & ~cleared) | Cat(self.done_event, self.error_event))
        with m.If(b.ready):
            m.d.sync += b.valid.eq(0)
        with m.If(taken):
            m.d.sync += [addressed.eq(0), supplied.eq(0)]
            m.d.sync += [b.valid.eq(1), b.p.resp.eq(RESP_SLVERR)]
            with m.Switch(word):
                for r in self.map:
                    if r.access == "ro":
                        continue
                    with m.Case(r.offset >> 2):
                        m.d.sync += b.p.resp.eq(RESP_OKAY)
                        if r.name == "CONTROL":
                            m.d.comb += Cat(self.start, self.abort).eq(command)
                        elif r.name == "IRQ_STATUS":
                            m.d.comb += cleared.eq(command)
                        else:
                            m.d.sync += held[r.name].eq((held[r.name] & ~mask) | command)

    def _read(self, m: Module, held: dict[str, Signal], pending: Signal) -> None:
        ar, r = self.bus.ar, self.bus.r
        taken, waiting = Signal(), Signal()
        high = Signal(32)
        live: dict[str, Any] = held | {
            "CONTROL": 0,
            "STATUS": Cat(self.busy, self.done, self.error, self.stuck),
            "ERROR": self.report.as_value(),
            "IRQ_STATUS": pending,
            "LAST_ERROR": self.last_report.as_value(),
        }
        word = ar.p.addr[2:]
        first = COUNTERS >> 2
        m.d.comb += [
            ar.ready.eq(~r.valid & ~waiting),
            taken.eq(ar.valid & ar.ready),
            self.count_index.eq(ar.p.addr[3:]),
        ]
        with m.If(r.ready):
            m.d.sync += r.valid.eq(0)
        with m.If(taken):
            m.d.sync += [r.valid.eq(1), r.p.resp.eq(RESP_SLVERR), r.p.data.eq(0)]
            with m.Switch(word):
                for register in self.map:
                    if register.offset < COUNTERS:
                        constant = register.value
                        value = live[register.name] if constant is None else constant
                        with m.Case(register.offset >> 2):
                            m.d.sync += [r.p.data.eq(value), r.p.resp.eq(RESP_OKAY)]
            with m.If((word >= first) & (word < first + 2 * len(self.counters))):
                m.d.sync += r.p.resp.eq(RESP_OKAY)
                with m.If(word[0]):
                    m.d.sync += r.p.data.eq(high)
                with m.Else():
                    m.d.comb += self.count_read.eq(1)
                    m.d.sync += [r.valid.eq(0), waiting.eq(1)]
        with m.If(waiting & self.count_valid):
            m.d.sync += [waiting.eq(0), r.valid.eq(1), Cat(r.p.data, high).eq(self.count_total)]


def _used_bits(register: Register) -> int:
    """Bits that a writable register holds; the others read zero."""
    return max(f.at + f.bits for f in register.fields)
