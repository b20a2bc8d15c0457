"""IssueQueue: instructions go to the unit in order, once, when they may, and signal when done."""

from __future__ import annotations

from typing import Any, ClassVar

from amaranth.hdl import Mux, Signal

from formal.kit.proof import Bench, Mutant, Proof
from hw.isa.limits import MAX_IN_FLIGHT
from hw.rules.rule_set import Side
from hw.rules.stream_rules import StreamRules
from hw.sequencer.issue_queue import IssueQueue

PAYLOAD_BITS = 2


class IssueQueueProof(Proof):
    """One instruction, any, is followed from the dispatcher to its unit.

    It asks for its semaphores when all before it have been taken, and is offered with its payload
    and tag next. The unit says ``done`` only of what it was given.
    """

    unit = "issue_queue"
    target = IssueQueue
    reach = 18
    variants: ClassVar = {"depth 2": {"depth": 2}}
    mutants = (
        Mutant(old="head.valid & self.fits.all() & free", new="head.valid & free"),
        Mutant(
            old="& (count != MAX_IN_FLIGHT)",
            new="& (count != MAX_IN_FLIGHT - 1)",
            blocks="all_in_flight",
        ),
        Mutant(old="payload.eq(head.p.payload)", new="payload.eq(head.p.payload ^ self.done)"),
        Mutant(old="free.eq(~self.o.valid | self.o.ready)", new="free.eq(1)"),
    )

    def bench(self, target: Any, *, depth: int) -> Bench:
        bench = Bench()
        followed = Followed(bench, target, depth)
        unit, kept, shown = followed.unit, followed.kept, Signal()
        with bench.m.If(followed.taken):
            bench.m.d.sync += shown.eq(1)
        with bench.m.Elif(followed.given):
            bench.m.d.sync += shown.eq(0)
        bench.check("i", StreamRules(unit.i), Side.SLAVE, skip=("stream_waits",))
        bench.check("o", StreamRules(unit.o), Side.MASTER)
        bench.promise("only_what_fits", ~unit.take | unit.fits.all())
        bench.promise("asks_for_its_own", ~followed.taken | (unit.wait == kept.wait))
        bench.promise("is_offered", ~shown | (
            unit.o.valid & (unit.o.payload == kept.payload) & (unit.o_tag == kept.tag)
        ))  # fmt: skip
        bench.promise("not_too_many", followed.running <= MAX_IN_FLIGHT)
        empty = (followed.queued == 0) & (followed.running == 0)
        bench.promise("idle", unit.idle == empty)
        bench.cover("waited", followed.taken & kept.wait.as_value().any())
        bench.cover("all_in_flight", (followed.running == MAX_IN_FLIGHT) & (followed.queued != 0))
        bench.cover("idle_again", unit.idle & (kept.tag == 5))
        return bench


class IssueQueueSignals(Proof):
    """The consumers of an instruction are signalled by its own ``done``, and the tag is its own.

    Bounded: three instructions in flight fit in the depth (cover).
    """

    unit = "issue_queue"
    target = IssueQueue
    depth = reach = 12
    variants: ClassVar = {f"signals, depth {depth}": {"depth": depth} for depth in (2, 3)}
    mutants = (
        Mutant(old="m.Switch(count - self.done)", new="m.Switch(count)"),
        Mutant(old="ring[0].signal & self.done.replicate(UNITS)", new="ring[0].signal"),
        Mutant(old="self.tag.eq(ring[0].tag)", new="self.tag.eq(ring[1].tag)"),
        Mutant(old="ring[i].eq(ring[i + 1]) for", new="ring[i].eq(ring[i]) for"),
    )

    def bench(self, target: Any, *, depth: int) -> Bench:
        bench = Bench()
        followed = Followed(bench, target, depth)
        m, unit, kept = bench.m, followed.unit, followed.kept
        flies, before = Signal(), Signal(range(MAX_IN_FLIGHT + 2))
        first, ended = Signal(), Signal()
        m.d.comb += [first.eq(flies & (before == 0)), ended.eq(first & unit.done)]
        with m.If(followed.taken):
            m.d.sync += [flies.eq(1), before.eq(followed.running - unit.done)]
        with m.Elif(ended):
            m.d.sync += flies.eq(0)
        with m.Elif(unit.done):
            m.d.sync += before.eq(before - 1)
        bench.promise("when_done", unit.done | (unit.signal == 0))
        bench.promise("its_signals", ~ended | (unit.signal == kept.signal))
        bench.promise("its_tag", ~first | (unit.tag == kept.tag))
        bench.cover("signalled", ended & (kept.signal == 5))
        bench.cover("third_in_flight", ended & (kept.tag == 3) & (followed.running == 3))
        return bench


class Followed:
    """A queue in free surroundings, and counters that say where one of its instructions is.

    ``unit``: the queue. ``queued``, ``running``: instructions in it and in flight. ``kept``: the
    instruction that is followed; ``taken``: it takes its semaphores. ``given``: the unit accepts
    one. Only one instruction is followed.
    """

    def __init__(self, bench: Bench, target: Any, depth: int) -> None:
        m = bench.m
        m.submodules.unit = self.unit = unit = target(PAYLOAD_BITS, depth)
        bench.free_inputs(unit)
        pushed, self.given = unit.i.valid & unit.i.ready, unit.o.valid & unit.o.ready
        self.queued = Signal(range(depth + 4), name="queued")
        self.running = Signal(range(MAX_IN_FLIGHT + 2), name="running")
        handed = Signal(range(MAX_IN_FLIGHT + 2), name="handed")
        m.d.sync += [
            self.queued.eq(self.queued + pushed - unit.take),
            self.running.eq(self.running + unit.take - unit.done),
            handed.eq(handed + self.given - unit.done),
        ]
        bench.assume(~unit.done | (handed != 0))
        chosen, waits, seen = bench.free("chosen"), Signal(), Signal()
        ahead = Signal(range(depth + 4))
        self.kept: Any = Signal(unit.i.payload.shape(), name="kept")
        self.taken = Signal(name="taken")
        m.d.comb += self.taken.eq(waits & unit.take & (ahead == 0))
        with m.If(pushed & chosen & ~seen):
            m.d.sync += [self.kept.eq(unit.i.payload), waits.eq(1), seen.eq(1)]
            m.d.sync += ahead.eq(self.queued - unit.take)
        with m.Elif(self.taken):
            m.d.sync += waits.eq(0)
        with m.Elif(unit.take):
            m.d.sync += ahead.eq(ahead - Mux(waits, 1, 0))
