"""RegisterQueue: order, no loss, no overflow."""

from typing import Any, ClassVar

from amaranth.hdl import Mux, Signal

from formal.kit.proof import Bench, Mutant, Proof
from hw.lib.register_queue import RegisterQueue
from hw.rules.rule_set import Side
from hw.rules.stream_rules import StreamRules


class RegisterQueueProof(Proof):
    """Equals a list: what goes in comes out once, in order; full and empty are told exactly."""

    unit = "register_queue"
    target = RegisterQueue
    variants: ClassVar = {f"capacity {n}": {"capacity": n} for n in (1, 2, 3)}
    mutants = (
        Mutant(old="self.level != self.capacity", new="self.level != self.capacity + 1"),
        Mutant(old="Mux(read_at == last, 0, read_at + 1)", new="0", only={"capacity": (2, 3)}),
        Mutant(old="self.level + push - pop", new="self.level + push"),
        Mutant(old="words[write_at].eq(self.i.p)", new="words[write_at].eq(self.i.p ^ push)"),
    )

    def bench(self, target: Any, *, capacity: int = 2) -> Bench:
        """A queue of two-bit words beside a shift register that does the same."""
        bench = Bench()
        bench.m.submodules.queue = queue = target(2, capacity)
        bench.free_inputs(queue)
        model(bench, queue, capacity)
        bench.check("i", StreamRules(queue.i), Side.SLAVE, skip=("stream_waits",))
        bench.check("o", StreamRules(queue.o), Side.MASTER)
        bench.promise("level", queue.level <= capacity)
        bench.promise("takes_unless_full", queue.i.ready == (queue.level != capacity))
        return bench


def model(bench: Bench, queue: Any, most: int, *, delay: int = 0) -> None:
    """Promise that ``queue`` is first in, first out, and holds what it was given.

    With ``delay`` a word may take so many cycles to show.
    """
    m = bench.m
    count = Signal(range(most + 2), name="model_count")
    words = [Signal(len(queue.i.payload), name=f"model_{i}") for i in range(most + 1)]
    push, pop = queue.i.valid & queue.i.ready, queue.o.valid & queue.o.ready
    m.d.sync += count.eq(count + push - pop)
    for i, word in enumerate(words):
        later = words[i + 1] if i + 1 < len(words) else 0
        m.d.sync += word.eq(Mux(push & (count - pop == i), queue.i.payload, Mux(pop, later, word)))
    bench.promise("nothing_invented", ~queue.o.valid | (count != 0))
    bench.promise("in_order", ~queue.o.valid | (queue.o.payload == words[0]))
    bench.promise("level_is_exact", queue.level == count)
    if not delay:
        bench.promise("nothing_kept_back", queue.o.valid == (count != 0))
    bench.cover("full", count == most)
    bench.cover("emptied_again", pop & (count == 1) & ~push & (words[0] == 3))
