"""Rules of the AXI4 write channels between one master and one slave."""

from typing import Any

from amaranth.hdl import Array, Cat, Const, Mux, Signal

from hw.bus.axi import BURST_INCR, PAGE_BYTES
from hw.rules.rule_set import RuleSet, Side
from hw.rules.stream_rules import held


class BurstQueue:
    """Lengths of bursts (AxLEN) in order of their addresses, up to ``most`` of them."""

    def __init__(self, rules: RuleSet, name: str, most: int) -> None:
        self.level = Signal(range(most + 1), name=f"{name}_level")
        self._words = Array(Signal(8, name=f"{name}_len{i}") for i in range(most))
        self.head = self._words[0]
        self._rules, self._most = rules, most

    def clock(self, push: Any, length: Any, pop: Any) -> None:
        """Take ``length`` at the end with ``push``, drop the oldest with ``pop``."""
        m = self._rules.m
        m.d.sync += self.level.eq(self.level + push - pop)
        for i, word in enumerate(self._words):
            later = self._words[i + 1] if i + 1 < self._most else Const(0, 8)
            m.d.sync += word.eq(Mux(push & (self.level - pop == i), length, Mux(pop, later, word)))


def address_rules(rules: RuleSet, name: str, port: Any, bus_bytes: int) -> None:
    """Rules of an address channel of ``bus_bytes``, while it offers something."""
    burst, idle = port.payload, ~port.valid
    size = (bus_bytes - 1).bit_length()
    beats = burst.len + 1
    first = burst.addr[: (PAGE_BYTES - 1).bit_length()]
    held(rules, name, port, "A3.2.1, A3.2.2", Side.MASTER)
    rules.keep(f"{name}_within_4_kb", "A3.4.1", Side.MASTER,
               idle | (first + (beats << size) <= PAGE_BYTES))  # fmt: skip
    rules.keep(f"{name}_incr", "A3.4.1", Side.MASTER, idle | (burst.burst == BURST_INCR))
    rules.keep(f"{name}_full_width", "A3.4.1, no narrow bursts here", Side.MASTER,
               idle | (burst.size == size))  # fmt: skip
    rules.keep(f"{name}_aligned", "A3.4.1, no unaligned bursts here", Side.MASTER,
               idle | ~burst.addr[:size].any())  # fmt: skip
    rules.keep(f"{name}_one_id", "A5.2, one ID here", Side.MASTER, idle | (burst.id == 0))
    rules.reach(f"{name}_long_burst", port.valid & port.ready & (burst.len >= 3))


class AxiWriteRules(RuleSet):
    """Rules of `hw.bus.axi.AxiWrite` signals ``bus``, ``bus_bytes`` wide.

    Up to ``most`` bursts may be without their response. The master is one that never offers data
    before it offers their address; whether the address is accepted makes no difference to it.
    """

    def __init__(self, bus: Any, bus_bytes: int, most: int) -> None:
        super().__init__()
        aw, w, b = bus.aw, bus.w, bus.b
        address_rules(self, "aw", aw, bus_bytes)
        held(self, "w", w, "A3.2.1, A3.2.2", Side.MASTER)
        held(self, "b", b, "A3.2.1, A3.2.2", Side.SLAVE)
        m = self.m

        # A burst counts from the cycle in which its address is first offered.
        queue = BurstQueue(self, "data", most)
        offered, beat = Signal(), Signal(8)
        fresh, last = Signal(), Signal()
        length, due = Signal(8), Signal()
        m.d.comb += [
            fresh.eq(aw.valid & ~offered),
            due.eq((queue.level != 0) | fresh),
            length.eq(Mux(queue.level != 0, queue.head, aw.payload.len)),
            last.eq(w.valid & w.ready & w.payload.last),
        ]
        m.d.sync += offered.eq(aw.valid & ~aw.ready)
        queue.clock(fresh, aw.payload.len, last)
        with m.If(w.valid & w.ready):
            m.d.sync += beat.eq(Mux(w.payload.last, 0, beat + 1))
        strobes = w.payload.strb
        self.keep("w_has_an_address", "A3.3.1, stricter here", Side.MASTER, ~w.valid | due)
        self.keep("w_last_at_the_end", "A3.4.1", Side.MASTER,
                  ~w.valid | (w.payload.last == (beat == length)))  # fmt: skip
        self.keep("w_whole_beats", "A3.4.3, whole beats or none here", Side.MASTER,
                  ~w.valid | strobes.all() | ~strobes.any())  # fmt: skip
        self.keep("w_bursts_in_bounds", f"at most {most} here", Side.MASTER,
                  ~fresh | (queue.level != most))  # fmt: skip

        # Responses: only to bursts whose address and data have been accepted.
        addressed, supplied = Signal(range(most + 1)), Signal(range(most + 1))
        taken, answered = aw.valid & aw.ready, b.valid & b.ready
        m.d.sync += [
            addressed.eq(addressed + taken - answered),
            supplied.eq(supplied + last - answered),
        ]
        self.keep("b_after_aw_and_w", "A3.3.1", Side.SLAVE,
                  ~b.valid | ((addressed != 0) & (supplied != 0)))  # fmt: skip
        self.keep("aw_in_bounds", f"at most {most} here", Side.MASTER,
                  ~aw.valid | (addressed != most))  # fmt: skip
        self.addressed, self.supplied, self.undelivered = addressed, supplied, queue.level
        #: Bursts offered and not yet answered.
        self.reach("w_before_aw_is_taken", w.valid & w.ready & aw.valid & ~aw.ready)
        self.reach("response", answered)
        self.reach("two_unanswered", Cat(addressed == 2, supplied == 2).all())
